# The module as strict as its variables make it, which is how checkov looks at it: so a key that was
# forgotten in a resource is found, where by default there is none.
kms_key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
log_retention_days     = 365
staging_retention_days = 30
aurora                 = { backup_days = 7, final_snapshot = true, max_capacity = 4 }

# So that the third bucket and its object are there.
database_ca_bundle = "-----BEGIN CERTIFICATE-----"

# checkov drops what is there when this is null, unless it is told this; Terraform would refuse it.
database = ""
