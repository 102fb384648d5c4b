locals {
  # The bucket in which files land: the created one, or landing_bucket (docs/decisions/0025-landing-bucket.md).
  landing = {
    name     = var.landing_bucket == null ? aws_s3_bucket.this["landing"].bucket : var.landing_bucket.name
    arn      = var.landing_bucket == null ? aws_s3_bucket.this["landing"].arn : "arn:${local.partition}:s3:::${var.landing_bucket.name}"
    account  = try(coalesce(var.landing_bucket.account_id), local.account)
    prefixes = try(sort(var.landing_bucket.prefixes), [""])
  }

  # S3's events of new objects in landing_bucket. S3 sends them to the default bus of the bucket's account and region
  # (https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html).
  landing_events = {
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    account     = [local.landing.account]
    detail = merge(
      { bucket = { name = [local.landing.name] } },
      contains(local.landing.prefixes, "") ? {} : { object = { key = [for prefix in local.landing.prefixes : { prefix = prefix }] } },
    )
  }
}

# "landing" stores the landed files permanently. "staging" stores what the functions derive from them. "config" stores
# settings that are too long for environment variables: the contracts and a CA bundle.
resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18:CloudTrail data events can record access if the account enables them; a log bucket would need protection too
  # checkov:skip=CKV_AWS_21:landing has versioning; staging can be rebuilt from landing, and config by Terraform
  # checkov:skip=CKV_AWS_144:senders keep the original files; replication doubles the cost
  # checkov:skip=CKV_AWS_145:all buckets use kms_key_arn if it is set; checkov sees only one instance of for_each, database.tftest.hcl tests all
  # checkov:skip=CKV2_AWS_6:all buckets have one; checkov sees only one instance of for_each, database.tftest.hcl tests all
  # checkov:skip=CKV2_AWS_61:all buckets have one; checkov sees only one instance of for_each, module.tftest.hcl tests all
  # checkov:skip=CKV2_AWS_62:landing notifies trigger; nothing reacts to objects in staging
  for_each = toset(concat(["config", "staging"], var.landing_bucket == null ? ["landing"] : []))

  bucket        = "${var.name}-${each.key}-${local.account}-${local.region}"
  force_destroy = each.key == "config" || var.force_destroy
  tags          = local.tags

  depends_on = [terraform_data.prerequisites]
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.bucket

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.bucket

  rule {
    # Avoids most KMS requests, which are billed.
    bucket_key_enabled = var.kms_key_arn == null ? null : true

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.bucket

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [each.value.arn, "${each.value.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 rejects concurrent changes to the access settings of one bucket.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

# Each object's key contains its hash, so a function cannot read another version, and a process reads it only once.
# shared/contract_store.py describes how contract sets of earlier runs are kept.
#
# The key is also the for_each key. Otherwise a failed apply leaves the earlier object deposed. If the same text is then
# deployed again, Terraform writes the same key and afterwards deletes it together with the deposed object.
resource "aws_s3_object" "config" {
  for_each = merge(
    { (local.contracts_key) = { content = local.contracts, type = "application/json" } },
    { for text in var.database_ca_bundle[*] : local.database_ca_bundle_key => { content = text, type = "application/x-pem-file" } },
  )

  bucket       = aws_s3_bucket.this["config"].bucket
  key          = each.key
  content      = each.value.content
  content_type = each.value.type

  # S3 allows 10 tags per object (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html). var.tags
  # or the provider's default_tags may contain more.
  tags = { for key in keys(local.own_tags) : key => local.tags[key] }

  override_provider {
    default_tags {
      tags = {}
    }
  }

  lifecycle {
    # Update the functions' environment before deleting the earlier object.
    create_before_destroy = true
  }

  depends_on = [
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
  ]
}

# A run reads the exact version that its S3 event names, and Load orders the versions of a landing key.
resource "aws_s3_bucket_versioning" "landing" {
  count = var.landing_bucket == null ? 1 : 0

  bucket = aws_s3_bucket.this["landing"].bucket

  versioning_configuration {
    status = "Enabled"
  }
}

# No filter: trigger must also report keys that match no contract.
resource "aws_s3_bucket_notification" "landing" {
  count = var.landing_bucket == null ? 1 : 0

  bucket = aws_s3_bucket.this["landing"].bucket

  lambda_function {
    id                  = "trigger"
    lambda_function_arn = aws_lambda_function.this["trigger"].arn
    events              = ["s3:ObjectCreated:*"]
  }

  # The first file needs versioning, the state machine and the database. The notification does not depend on migrate:
  # migrate fails while the contract of one table is invalid, but files of other tables must be loaded
  # (docs/decisions/0010-contract-changes.md).
  depends_on = [
    aws_lambda_permission.trigger,
    aws_rds_cluster_instance.this,
    aws_s3_bucket_versioning.landing,
    aws_sfn_state_machine.ingestion,
  ]
}

# If landing_bucket is in another account, a rule there invokes trigger.
resource "aws_cloudwatch_event_rule" "landing" {
  count = var.landing_bucket != null && local.landing.account == local.account ? 1 : 0

  name          = "${var.name}-landing"
  description   = "New objects in ${local.landing.name}."
  event_pattern = jsonencode(local.landing_events)
  tags          = local.tags

  depends_on = [terraform_data.prerequisites]
}

resource "aws_cloudwatch_event_target" "landing" {
  count = length(aws_cloudwatch_event_rule.landing)

  rule      = aws_cloudwatch_event_rule.landing[0].name
  target_id = "trigger"
  arn       = aws_lambda_function.this["trigger"].arn

  # As for the notification.
  depends_on = [
    aws_lambda_permission.trigger,
    aws_rds_cluster_instance.this,
    aws_sfn_state_machine.ingestion,
  ]
}

# Another account may invoke trigger by any role that its own policies allow to. It could upload files as well.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-cross-account.html
# https://docs.aws.amazon.com/lambda/latest/dg/permissions-function-cross-account.html
# AWS returns an account as an ARN, and the provider would replace the permission at each apply if it were given an ID
# (https://github.com/hashicorp/terraform-provider-aws/issues/30722).
resource "aws_lambda_permission" "trigger" {
  statement_id   = "landing"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.this["trigger"].function_name
  principal      = var.landing_bucket == null ? "s3.amazonaws.com" : local.landing.account == local.account ? "events.amazonaws.com" : "arn:${local.partition}:iam::${local.landing.account}:root"
  source_account = var.landing_bucket == null ? local.account : null
  source_arn     = var.landing_bucket == null ? local.landing.arn : one(aws_cloudwatch_event_rule.landing[*].arn)
}

# An organisation may set the rules of all its buckets, and the provider then waits for its own in vain
# (https://github.com/hashicorp/terraform-provider-aws/issues/41199).
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = { for name, bucket in aws_s3_bucket.this : name => bucket if var.manage_lifecycle_rules }

  bucket = each.value.bucket

  # The parts of an incomplete multipart upload are billed, but no listing of objects shows them
  # (docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html).
  rule {
    id     = "uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  # migrate copies a contract set to kept/ when it is deployed, and again when it is replaced.
  dynamic "rule" {
    for_each = each.key == "config" ? [30] : []

    content {
      id     = "former-contracts"
      status = "Enabled"

      filter {
        prefix = "kept/"
      }

      expiration {
        days = rule.value
      }
    }
  }

  dynamic "rule" {
    for_each = each.key == "staging" ? var.staging_retention_days[*] : []

    content {
      id     = "retention"
      status = "Enabled"

      filter {}

      expiration {
        days = rule.value
      }
    }
  }
}

moved {
  from = aws_s3_bucket_lifecycle_configuration.staging[0]
  to   = aws_s3_bucket_lifecycle_configuration.this["staging"]
}

# One item per ingestion, with its status and history.
resource "aws_dynamodb_table" "log" {
  name         = "${var.name}-log"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "ingestedID"
  range_key    = "ingestedTable"
  tags         = local.tags

  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = toset(["ingestedID", "ingestedTable", "status", "updatedAt", "dataDate"])

    content {
      name = attribute.key
      type = "S"
    }
  }

  # Provider 6.29 and later warn that hash_key and range_key are deprecated here. The replacement, key_schema, does not
  # exist in 5.100.
  global_secondary_index {
    name            = "status"
    hash_key        = "status"
    range_key       = "updatedAt"
    projection_type = "ALL"
  }

  global_secondary_index {
    name            = "dataDate"
    hash_key        = "dataDate"
    range_key       = "ingestedID"
    projection_type = "ALL"
  }

  point_in_time_recovery {
    enabled = true
  }

  dynamic "server_side_encryption" {
    for_each = var.kms_key_arn[*]

    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }

  depends_on = [terraform_data.prerequisites]
}
