# Raw files land in one bucket and stay there; another holds what the functions make of them. A third, "config", holds
# what Terraform tells the functions that is too long for their environment: the contracts, and a CA bundle.
resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18:who reads what is told by CloudTrail's data events, if the account wants them; a bucket of logs would be a third to guard
  # checkov:skip=CKV_AWS_21:landing has versions; what is in staging is made again from there, and what is in config by Terraform
  # checkov:skip=CKV_AWS_144:the files are a copy of what their sender has; another region doubles their cost
  # checkov:skip=CKV_AWS_145:all have kms_key_arn if it is given; checkov follows for_each to one of them only, database.tftest.hcl to all
  # checkov:skip=CKV2_AWS_6:all have one; checkov follows for_each to one of them only, database.tftest.hcl to all
  # checkov:skip=CKV2_AWS_61:all have one; checkov follows for_each to one of them only, module.tftest.hcl to all
  # checkov:skip=CKV2_AWS_62:landing tells trigger; what appears in staging concerns nobody but the run that writes it
  for_each = toset(["config", "landing", "staging"])

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
    # Spares most calls of KMS, which are billed.
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

  # S3 refuses two concurrent changes of one bucket's access.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

# Each is named by its hash, so that no function takes another's text for it, and each process needs to read it only
# once. shared/contract_store.py says how the contracts of runs from before are kept.
#
# The name is the instance's key too. Otherwise an apply that fails leaves the former object as a deposed one; if its
# text is then deployed again, Terraform writes that name anew and afterwards deletes it with the deposed object.
resource "aws_s3_object" "config" {
  for_each = merge(
    { (local.contracts_key) = { content = local.contracts, type = "application/json" } },
    { for text in var.database_ca_bundle[*] : local.database_ca_bundle_key => { content = text, type = "application/x-pem-file" } },
  )

  bucket       = aws_s3_bucket.this["config"].bucket
  key          = each.key
  content      = each.value.content
  content_type = each.value.type

  # S3 takes 10 tags of an object (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html), and
  # var.tags, or a provider by default, may have more.
  tags = { for key in keys(local.own_tags) : key => local.tags[key] }

  override_provider {
    default_tags {
      tags = {}
    }
  }

  lifecycle {
    # The functions are told of the next one before this one goes.
    create_before_destroy = true
  }

  depends_on = [
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
  ]
}

# A run reads the exact version that its event named, and Load orders a key's versions.
resource "aws_s3_bucket_versioning" "landing" {
  bucket = aws_s3_bucket.this["landing"].bucket

  versioning_configuration {
    status = "Enabled"
  }
}

# No filter: a key that fits no contract must be seen too.
resource "aws_s3_bucket_notification" "landing" {
  bucket = aws_s3_bucket.this["landing"].bucket

  lambda_function {
    id                  = "trigger"
    lambda_function_arn = aws_lambda_function.this["trigger"].arn
    events              = ["s3:ObjectCreated:*"]
  }

  # The first file must find the version it is read by, a machine to run it and the database. It does not wait for
  # migrate: that fails as long as one table's contract is wrong, and the files of the others must come in
  # (docs/decisions/0010-contracts-that-change.md).
  depends_on = [
    aws_lambda_permission.trigger,
    aws_rds_cluster_instance.this,
    aws_s3_bucket_versioning.landing,
    aws_sfn_state_machine.ingestion,
  ]
}

resource "aws_lambda_permission" "trigger" {
  statement_id   = "landing"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.this["trigger"].function_name
  principal      = "s3.amazonaws.com"
  source_account = local.account
  source_arn     = aws_s3_bucket.this["landing"].arn
}

# A bucket has one lifecycle configuration.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.bucket

  # The parts of an upload that was broken off are billed and are in no listing of objects
  # (docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html).
  rule {
    id     = "uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  # migrate writes a set of contracts there when it is deployed, and again when it is replaced.
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

# One item per ingestion: where it stands and how it came there.
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

  # Provider 6.29 and newer warn that hash_key and range_key are deprecated here. Their replacement, key_schema, does not
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
