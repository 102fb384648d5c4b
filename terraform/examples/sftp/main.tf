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

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${module.pipeline.landing_bucket}"
  suppliers  = var.enable_sftp ? var.suppliers : {}
}

# Billed for each hour from its creation until it is deleted, also while it is stopped.
resource "aws_transfer_server" "sftp" {
  count = var.enable_sftp ? 1 : 0

  security_policy_name = "TransferSecurityPolicy-2024-01"
  tags                 = { Name = var.name }

  # Otherwise a supplier's folder must exist, and AWS reads it, for which a supplier has no permission:
  # https://docs.aws.amazon.com/transfer/latest/userguide/implement-log-dirs.html
  s3_storage_options {
    directory_listing_optimization = "ENABLED"
  }

  # S3 cannot keep the times and permissions that some clients set after an upload. Otherwise they get an error:
  # https://docs.aws.amazon.com/transfer/latest/APIReference/API_ProtocolDetails.html
  protocol_details {
    set_stat_option = "ENABLE_NO_OP"
  }
}

# Each supplier sees only its own folder, as "/".
resource "aws_transfer_user" "supplier" {
  for_each = local.suppliers

  server_id           = aws_transfer_server.sftp[0].id
  user_name           = each.key
  role                = aws_iam_role.supplier[each.key].arn
  home_directory_type = "LOGICAL"

  home_directory_mappings {
    entry  = "/"
    target = "/${module.pipeline.landing_bucket}/sftp/${each.key}"
  }
}

resource "aws_transfer_ssh_key" "supplier" {
  for_each = local.suppliers

  server_id = aws_transfer_server.sftp[0].id
  user_name = aws_transfer_user.supplier[each.key].user_name
  body      = each.value
}

resource "aws_iam_role" "supplier" {
  for_each = local.suppliers

  name        = "${var.name}-sftp-${each.key}-${var.region}"
  description = "Lets AWS Transfer Family store the files of ${each.key}."

  # https://docs.aws.amazon.com/transfer/latest/userguide/confused-deputy.html
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "transfer.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

# A supplier may upload files and list their names, but not read, rename or delete them.
resource "aws_iam_role_policy" "supplier" {
  for_each = local.suppliers

  name = "upload"
  role = aws_iam_role.supplier[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "s3:PutObject", Resource = "${local.bucket_arn}/sftp/${each.key}/*" },
      {
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = local.bucket_arn
        Condition = { StringLike = { "s3:prefix" = ["sftp/${each.key}", "sftp/${each.key}/*"] } }
      },
    ]
  })
}
