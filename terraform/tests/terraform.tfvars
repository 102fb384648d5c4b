# Default variables of every test. Terraform reads this file only for `terraform test`.

deletion_protection = false # so that `terraform test` can clean up

function_zip = {
  bucket = "code"
  key    = "functions.zip"
  hash   = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
}
database = {
  host = "db.example.com"
  name = "pipeline"
  auth = "secret"
  secret_arns = {
    migrate = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:migrate"
    load    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:load"
    api     = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:api"
  }
}
