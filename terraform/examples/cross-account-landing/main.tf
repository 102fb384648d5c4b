terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

# The account of the pipeline.
provider "aws" {
  region = var.region
}

# The account of the bucket. EventBridge can invoke a function of another account only in the same region.
provider "aws" {
  alias  = "files"
  region = var.region

  dynamic "assume_role" {
    for_each = var.files_role_arn[*]

    content {
      role_arn = assume_role.value
    }
  }
}

data "aws_caller_identity" "files" {
  provider = aws.files
}

module "pipeline" {
  # Outside this repository: "git::https://<host>/<owner>/tm-pipeline.git//terraform?ref=<tag>", or a relative path to a
  # checkout.
  source = "../.."

  name         = var.name
  alert_emails = var.alert_emails

  landing_bucket = {
    name       = aws_s3_bucket.files.bucket
    account_id = data.aws_caller_identity.files.account_id
    prefixes   = ["table=", "erp/"] # the keys of the sample contracts
  }

  aurora              = { final_snapshot = var.protected }
  deletion_protection = var.protected
  force_destroy       = !var.protected
}

# All below is in the account of the bucket. Without a setting of its own, a new bucket owns all its objects
# (BucketOwnerEnforced), so that its policy applies to them whoever uploads them:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
resource "aws_s3_bucket" "files" {
  provider = aws.files

  bucket        = "${var.name}-files-${data.aws_caller_identity.files.account_id}-${var.region}"
  force_destroy = !var.protected
}

resource "aws_s3_bucket_versioning" "files" {
  provider = aws.files

  bucket = aws_s3_bucket.files.bucket

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_notification" "files" {
  provider = aws.files

  bucket      = aws_s3_bucket.files.bucket
  eventbridge = true
}

resource "aws_s3_bucket_policy" "files" {
  provider = aws.files

  bucket = aws_s3_bucket.files.bucket

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(module.pipeline.landing_bucket_needs.bucket_statements, [{
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.files.arn, "${aws_s3_bucket.files.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }])
  })
}

# Invokes the function trigger for each new object. EventBridge assumes the role:
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-cross-account.html
resource "aws_cloudwatch_event_rule" "landed" {
  provider = aws.files

  name          = "${var.name}-landed"
  description   = "New objects in ${aws_s3_bucket.files.bucket}."
  event_pattern = module.pipeline.landing_bucket_needs.event_pattern
}

resource "aws_cloudwatch_event_target" "landed" {
  provider = aws.files

  rule     = aws_cloudwatch_event_rule.landed.name
  arn      = module.pipeline.landing_bucket_needs.trigger_arn
  role_arn = aws_iam_role.landed.arn

  # The functions must be able to read the first file.
  depends_on = [
    aws_iam_role_policy.landed,
    aws_s3_bucket_policy.files,
    aws_s3_bucket_versioning.files,
    module.pipeline,
  ]
}

resource "aws_iam_role" "landed" {
  provider = aws.files

  name        = "${var.name}-landed-${var.region}"
  description = "Lets EventBridge invoke the function trigger of ${var.name}."

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "landed" {
  provider = aws.files

  name = "trigger"
  role = aws_iam_role.landed.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "lambda:InvokeFunction"
      Resource = module.pipeline.landing_bucket_needs.trigger_arn
    }]
  })
}
