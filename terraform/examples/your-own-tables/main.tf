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

module "pipeline" {
  # Outside this repository: "git::https://<host>/<owner>/tm-pipeline.git//terraform?ref=<tag>", or a relative path to a
  # checkout.
  source = "../.."

  name          = var.name
  contracts_dir = "${path.module}/contracts"
  alert_emails  = var.alert_emails

  aurora              = { final_snapshot = var.protected }
  deletion_protection = var.protected
  force_destroy       = !var.protected
}
