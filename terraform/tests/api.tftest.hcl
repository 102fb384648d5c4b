# The lookup API with a mocked AWS provider: routes, authentication, and the effect of each variable.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

run "defaults" {
  command = plan

  # Routes

  assert {
    condition     = toset(keys(aws_api_gateway_method.this)) == toset(["ANY /docs", "ANY /health", "ANY /openapi.json", "ANY /{proxy+}"])
    error_message = "The API must have only the public routes and one route for all other paths."
  }

  assert {
    condition     = { for path, resource in aws_api_gateway_resource.this : path => resource.path_part } == { for part in ["docs", "health", "openapi.json", "{proxy+}"] : "/${part}" => part }
    error_message = "Each path of the API must have a resource with its path part."
  }

  assert {
    condition     = toset([for name, integration in aws_api_gateway_integration.this : name if integration.type == "AWS_PROXY" && integration.uri == aws_lambda_function.this["api"].invoke_arn]) == toset(keys(aws_api_gateway_method.this))
    error_message = "Every route must invoke the function api."
  }

  # Authentication

  assert {
    condition     = [for name, method in aws_api_gateway_method.this : name if method.authorization != "AWS_IAM"] == ["ANY /docs", "ANY /health", "ANY /openapi.json"]
    error_message = "Only /docs, /health and /openapi.json must be public."
  }

  assert {
    condition     = !anytrue([for method in aws_api_gateway_method.this : method.api_key_required]) && length(aws_api_gateway_api_key.lookup) + length(aws_api_gateway_usage_plan.lookup) + length(aws_api_gateway_usage_plan_key.lookup) == 0
    error_message = "With IAM there must be no API key."
  }

  assert {
    condition     = output.api_key == null && output.api_execution_arn == "arn:aws:execute-api:eu-central-1:123456789012:api/Prod"
    error_message = "With IAM the output api_key must be null, and api_execution_arn set."
  }

  assert {
    condition     = aws_lambda_permission.api.source_arn == "arn:aws:execute-api:eu-central-1:123456789012:api/Prod/*"
    error_message = "Only the stage of this API may invoke the function."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.function["api"].policy).Statement == [
      { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["arn:aws:s3:::config/deployed/*"] },
      { Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:eu-central-1:123456789012:table/mock", "arn:aws:dynamodb:eu-central-1:123456789012:table/mock/index/status"] },
      { Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:api"] },
      { Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:eu-central-1:123456789012:log-group:api:*"] },
    ]
    error_message = "The role of api must allow only reading contracts, the log table and its secret, and writing its log."
  }

  # Answers of API Gateway itself

  assert {
    condition = alltrue([
      for response in aws_api_gateway_gateway_response.this : response.response_parameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
    ])
    error_message = "Answers of API Gateway must have the type application/problem+json."
  }

  assert {
    # API Gateway replaces messageString with a JSON string.
    condition = alltrue([
      for response in aws_api_gateway_gateway_response.this :
      toset(keys(jsondecode(replace(response.response_templates["application/json"], "$context.error.messageString", "\"said\"")))) ==
      toset(concat(["type", "title", "detail", "requestId"], response.status_code == null ? [] : ["status"]))
    ])
    error_message = "Answers of API Gateway must have the same members as those of the function."
  }

  assert {
    condition = { for type, response in aws_api_gateway_gateway_response.this : type => coalesce(response.status_code, "its own") } == {
      ACCESS_DENIED                = "403"
      API_CONFIGURATION_ERROR      = "503"
      DEFAULT_4XX                  = "its own"
      DEFAULT_5XX                  = "its own"
      EXPIRED_TOKEN                = "403"
      INTEGRATION_FAILURE          = "503"
      INTEGRATION_TIMEOUT          = "504"
      INVALID_API_KEY              = "403"
      INVALID_SIGNATURE            = "403"
      MISSING_AUTHENTICATION_TOKEN = "403"
      QUOTA_EXCEEDED               = "429"
      REQUEST_TOO_LARGE            = "413"
      THROTTLED                    = "429"
      WAF_FILTERED                 = "403"
    }
    error_message = "The status of an answer of API Gateway is wrong."
  }

  assert {
    condition = { for type, response in aws_api_gateway_gateway_response.this : type => response.response_parameters["gatewayresponse.header.Retry-After"] if can(response.response_parameters["gatewayresponse.header.Retry-After"]) } == {
      API_CONFIGURATION_ERROR = "'20'"
      INTEGRATION_FAILURE     = "'20'"
      THROTTLED               = "'1'"
    }
    error_message = "Only answers that allow a retry must have Retry-After."
  }

  assert {
    condition     = aws_api_gateway_rest_api.lookup.minimum_compression_size == "1024"
    error_message = "API Gateway must compress answers."
  }

  # Off by default

  assert {
    condition     = length(aws_wafv2_web_acl_association.lookup) + length(aws_cloudwatch_log_group.api) + length(aws_api_gateway_stage.prod.access_log_settings) == 0
    error_message = "There must be no web ACL and no access log by default."
  }

  assert {
    condition     = !can(aws_lambda_function.this["api"].environment[0].variables.GET_TABLE)
    error_message = "GET_TABLE must not be set by default."
  }

  assert {
    condition     = !can(aws_lambda_function.this["api"].environment[0].variables.CORS_ORIGINS) && !anytrue([for response in aws_api_gateway_gateway_response.this : can(response.response_parameters["gatewayresponse.header.Access-Control-Allow-Origin"])])
    error_message = "CORS must be off by default."
  }

  assert {
    condition     = [for settings in aws_api_gateway_method_settings.throttle.settings : [settings.throttling_rate_limit, settings.throttling_burst_limit]] == [[50, 100]]
    error_message = "The default throttling must be 50 requests per second with a burst of 100."
  }
}

run "by_key" {
  command = plan

  variables {
    api_auth = "key"
  }

  assert {
    condition = aws_api_gateway_deployment.lookup.triggers.definition == sha256(jsonencode([
      filesha256("${path.module}/api.tf"), "key", false
    ]))
    error_message = "A change of the API's definition must create a new deployment."
  }

  assert {
    condition     = [for name, method in aws_api_gateway_method.this : name if !method.api_key_required] == ["ANY /docs", "ANY /health", "ANY /openapi.json"]
    error_message = "Only /docs, /health and /openapi.json must be public."
  }

  assert {
    condition     = toset([for method in aws_api_gateway_method.this : method.authorization]) == toset(["NONE"])
    error_message = "With var.api_auth = key, routes must not use IAM."
  }

  assert {
    condition     = length(aws_api_gateway_usage_plan_key.lookup) == 1
    error_message = "With var.api_auth = key, there must be an API key."
  }

  assert {
    condition     = aws_api_gateway_gateway_response.this["MISSING_AUTHENTICATION_TOKEN"].status_code == "404"
    error_message = "With a key, a missing route must be answered with 404."
  }
}

run "everything_set" {
  command = plan

  variables {
    name               = "blue"
    api_auth           = "key"
    api_key_value      = "a key of twenty letters" # pragma: allowlist secret
    api_get_table      = "projectbudgets"
    api_cors_origins   = ["https://b.example.com", "https://a.example.com:8443"]
    api_throttle       = { rate = 5, burst = 7 }
    api_access_logs    = true
    api_web_acl        = { arn = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/guard/1234" }
    log_retention_days = 90
  }

  assert {
    condition     = one(aws_api_gateway_api_key.lookup[*].value) == "a key of twenty letters"
    error_message = "var.api_key_value does not reach the key."
  }

  assert {
    condition     = [for name, method in aws_api_gateway_method.this : name if method.http_method == "OPTIONS" && method.authorization == "NONE" && !method.api_key_required] == [for path in keys(aws_api_gateway_resource.this) : "OPTIONS ${path}"]
    error_message = "With var.api_cors_origins, every route must accept OPTIONS without a key."
  }

  assert {
    condition     = lookup(aws_lambda_function.this["api"].environment[0].variables, "GET_TABLE", null) == "projectbudgets"
    error_message = "var.api_get_table does not reach the function."
  }

  assert {
    condition     = lookup(aws_lambda_function.this["api"].environment[0].variables, "CORS_ORIGINS", null) == "[\"https://a.example.com:8443\",\"https://b.example.com\"]"
    error_message = "var.api_cors_origins does not reach the function."
  }

  assert {
    condition     = alltrue([for response in aws_api_gateway_gateway_response.this : lookup(response.response_parameters, "gatewayresponse.header.Access-Control-Allow-Origin", null) == "'*'"])
    error_message = "With var.api_cors_origins, answers of API Gateway must allow all origins."
  }

  assert {
    condition     = [for settings in flatten([aws_api_gateway_method_settings.throttle.settings, aws_api_gateway_usage_plan.lookup[*].throttle_settings]) : [try(settings.throttling_rate_limit, settings.rate_limit), try(settings.throttling_burst_limit, settings.burst_limit)]] == [[5, 7], [5, 7]]
    error_message = "var.api_throttle does not reach the stage and the key."
  }

  assert {
    condition     = aws_api_gateway_method_settings.throttle.method_path == "*/*"
    error_message = "The throttling of the stage must apply to every route."
  }

  assert {
    condition     = [for group in aws_cloudwatch_log_group.api : [group.name, tostring(group.retention_in_days)]] == [["/aws/apigateway/blue-lookup", "90"]]
    error_message = "The access log of var.api_access_logs has a wrong name or retention."
  }

  assert {
    # Other variables can contain personal data, especially $context.path and $context.identity.*.
    condition = toset(values(jsondecode(one(aws_api_gateway_stage.prod.access_log_settings).format))) == toset([
      "$context.error.responseType",
      "$context.httpMethod",
      "$context.integration.latency",
      "$context.integration.status",
      "$context.requestId",
      "$context.requestTimeEpoch",
      "$context.resourcePath",
      "$context.responseLatency",
      "$context.responseLength",
      "$context.status",
    ])
    error_message = "The access log must contain exactly these variables."
  }

  assert {
    condition     = [for association in aws_wafv2_web_acl_association.lookup : [association.web_acl_arn, association.resource_arn]] == [["arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/guard/1234", "arn:aws:apigateway:eu-central-1::/restapis/api/stages/Prod"]]
    error_message = "var.api_web_acl does not reach the stage."
  }
}
