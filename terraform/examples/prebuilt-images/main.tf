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

# Resolves the tag to a digest. A tag that moves later deploys nothing until the next apply.
data "aws_ecr_image" "function" {
  for_each = toset(["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"])

  repository_name = "${var.repository}/${each.key}"
  image_tag       = var.image_tag
}

module "pipeline" {
  # Outside this repository: "git::https://<host>/<owner>/tm-pipeline.git//terraform?ref=<tag>", or a relative path to a
  # checkout. Use the version that the images were built from.
  source = "../.."

  name         = var.name
  alert_emails = var.alert_emails

  image_uris   = { for function, image in data.aws_ecr_image.function : function => image.image_uri }
  architecture = var.architecture

  aurora              = { final_snapshot = var.protected }
  deletion_protection = var.protected
  force_destroy       = !var.protected
}
