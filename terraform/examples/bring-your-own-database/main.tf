terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region
}

data "aws_db_instance" "this" {
  db_instance_identifier = var.db_instance_identifier
}

module "pipeline" {
  # Outside this repository: "git::https://<host>/<owner>/tm-pipeline.git//terraform?ref=<tag>", or a relative path to a
  # checkout.
  source = "../.."

  name         = var.name
  alert_emails = var.alert_emails

  deletion_protection = var.protected
  force_destroy       = !var.protected

  database = {
    host        = data.aws_db_instance.this.address
    port        = data.aws_db_instance.this.port
    name        = var.database_name
    auth        = "iam"
    resource_id = data.aws_db_instance.this.resource_id

    # The first role exists already. migrate creates the others, so choose unused names.
    users = {
      migrate = var.administrator
      load    = "${var.administrator}_load"
      api     = "${var.administrator}_api"
    }

    # To use passwords, set auth = "secret", and replace resource_id and users with secret_arns: three secrets,
    # {"username": …, "password": …}. The subnets then also need a route to Secrets Manager.
    # secret_arns = { migrate = "arn:…", load = "arn:…", api = "arn:…" }

    vpc = {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }
}
