# What the module's checkov skips say of it, where checkov itself cannot see.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_s3_bucket.this["landing"]
  values = { arn = "arn:aws:s3:::landing" }
}
override_resource {
  target = aws_s3_bucket.this["staging"]
  values = { arn = "arn:aws:s3:::staging" }
}
override_resource {
  target = aws_s3_bucket.this["config"]
  values = { arn = "arn:aws:s3:::config" }
}
override_resource {
  target = aws_iam_role.function["load"]
  values = { arn = "arn:aws:iam::123456789012:role/load" }
}
override_resource {
  target = aws_security_group.function
  values = { id = "sg-function" }
}
override_resource {
  target = aws_security_group.database
  values = { id = "sg-database" }
}
override_resource {
  target = aws_vpc_endpoint.gateway["dynamodb"]
  values = { prefix_list_id = "pl-dynamodb" }
}
override_resource {
  target = aws_vpc_endpoint.gateway["s3"]
  values = { prefix_list_id = "pl-s3" }
}

variables {
  deletion_protection = false # so that `terraform test` can clean up

  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  # So that there is a third bucket.
  database_ca_bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
  function_zip = {
    bucket = "code"
    key    = "functions.zip"
    hash   = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
  }
}

run "skips" {
  assert {
    condition     = keys(aws_s3_bucket.this) == ["config", "landing", "staging"]
    error_message = "What follows does not look at every bucket that there may be."
  }

  assert {
    condition = keys(aws_s3_bucket_public_access_block.this) == keys(aws_s3_bucket.this) && alltrue([
      for name, block in aws_s3_bucket_public_access_block.this :
      block.bucket == aws_s3_bucket.this[name].id && block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ])
    error_message = "A bucket may become public."
  }

  assert {
    condition = keys(aws_s3_bucket_server_side_encryption_configuration.this) == keys(aws_s3_bucket.this) && alltrue([
      for name, encryption in aws_s3_bucket_server_side_encryption_configuration.this : encryption.bucket == aws_s3_bucket.this[name].bucket && alltrue([
        for default in one(encryption.rule).apply_server_side_encryption_by_default : default.sse_algorithm == "aws:kms" && default.kms_master_key_id == var.kms_key_arn
      ])
    ])
    error_message = "A bucket is not encrypted with the key that was given."
  }

  assert {
    condition     = aws_s3_bucket_versioning.landing.versioning_configuration[0].status == "Enabled"
    error_message = "Landing keeps no versions."
  }

  assert {
    condition = alltrue([
      for name in ["api", "load"] : toset(aws_lambda_function.this[name].vpc_config[0].security_group_ids) == toset(aws_security_group.function[*].id)
    ])
    error_message = "A function in the network has not the functions' security group."
  }

  assert {
    condition     = aws_api_gateway_method.this["ANY /get"].authorization == "AWS_IAM" && aws_api_gateway_method_settings.throttle.settings[0].throttling_rate_limit > 0
    error_message = "Callers of the API need not sign or are not throttled."
  }

  assert {
    condition     = aws_rds_cluster.this[0].backup_retention_period >= 1
    error_message = "The database keeps no backups."
  }
}
