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

  name         = var.name
  alert_emails = var.alert_emails
  kms_key_arn  = aws_kms_key.pipeline.arn
  tags         = var.tags

  # Halts a file with an invalid row before Load. False loads the valid rows and quarantines the others.
  hard_testing   = true
  watch_schedule = "rate(15 minutes)"

  architecture = var.architecture

  aurora = {
    max_capacity   = 8
    backup_days    = 14
    final_snapshot = var.protected
  }
  deletion_protection = var.protected
  force_destroy       = !var.protected

  # Rejects and reports are needed for weeks only. Landed files are kept forever.
  staging_retention_days = 90
  log_retention_days     = 90
  log_level              = "INFO"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

# Encrypts all data of the pipeline. The key policy delegates access to the account's IAM policies. CloudWatch Logs and
# alarms have no IAM policies, so they have statements here.
resource "aws_kms_key" "pipeline" {
  description         = "Encrypts the data of ${var.name}."
  enable_key_rotation = true
  tags                = merge({ Version = module.pipeline.version }, var.tags)

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = {
          ArnLike = {
            "kms:EncryptionContext:aws:logs:arn" = "arn:${data.aws_partition.current.partition}:logs:${var.region}:${data.aws_caller_identity.current.account_id}:log-group:*"
          }
        }
      },
      {
        # Without this statement no alarm reaches the topic, and only the alarm's history shows that.
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = {
          StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
          ArnLike = {
            "aws:SourceArn" = "arn:${data.aws_partition.current.partition}:cloudwatch:${var.region}:${data.aws_caller_identity.current.account_id}:alarm:${var.name}-*"
          }
        }
      },
    ]
  })
}
