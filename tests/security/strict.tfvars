# The strictest settings of the module, for checkov. With a KMS key, checkov finds resources that do
# not use it.
kms_key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
log_retention_days     = 365
staging_retention_days = 30
aurora                 = { backup_days = 7, final_snapshot = true, max_capacity = 4 }

# Creates the object with the CA bundle.
database_ca_bundle = "-----BEGIN CERTIFICATE-----"

# With null, checkov ignores resources that exist only without `database`. Terraform would reject "".
database = ""
