# Brings roles and tables to what the contracts say: on the first apply and whenever they or the code changed.
resource "aws_lambda_invocation" "migrate" {
  function_name = aws_lambda_function.this["migrate"].function_name

  input = jsonencode({
    contracts = sha256(join("", [for file in sort(keys(local.contracts)) : filesha256("${local.contracts_dir}/${file}")]))
  })

  triggers = { code = local.code_versions["migrate"] }

  lifecycle {
    precondition {
      condition     = length(local.contracts) > 0
      error_message = "There are no contracts beside the module, in ${local.contracts_dir}. The module needs its whole repository: use it by a relative path or as \"<repository>//terraform\", not by an absolute path."
    }
  }
}
