# The look-up's gateway, of a mocked AWS: its routes, and what each of its variables does.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "defaults" {
  # Routes

  assert {
    condition     = toset(keys(aws_api_gateway_method.this)) == toset(["ANY /docs", "ANY /health", "ANY /openapi.json", "ANY /{proxy+}"])
    error_message = "The gateway has other routes than the open ones and one for all others."
  }

  assert {
    condition     = { for path, resource in aws_api_gateway_resource.this : path => resource.path_part } == { for part in ["docs", "health", "openapi.json", "{proxy+}"] : "/${part}" => part }
    error_message = "The gateway's resources do not make up its paths."
  }

  assert {
    condition     = toset([for name, integration in aws_api_gateway_integration.this : name if integration.type == "AWS_PROXY" && integration.uri == aws_lambda_function.this["api"].invoke_arn]) == toset(keys(aws_api_gateway_method.this))
    error_message = "A route does not lead to the function."
  }

  # Who may call

  assert {
    condition     = [for name, method in aws_api_gateway_method.this : name if method.authorization != "AWS_IAM"] == ["ANY /docs", "ANY /health", "ANY /openapi.json"]
    error_message = "Other routes are open than /docs, /health and /openapi.json."
  }

  assert {
    condition     = !anytrue([for method in aws_api_gateway_method.this : method.api_key_required]) && length(aws_api_gateway_api_key.lookup) + length(aws_api_gateway_usage_plan.lookup) + length(aws_api_gateway_usage_plan_key.lookup) == 0
    error_message = "With IAM there is a key too."
  }

  assert {
    condition     = output.api_key == null && output.api_execution_arn == "arn:aws:execute-api:eu-central-1:123456789012:api/Prod"
    error_message = "The outputs tell of a key, or not of what to allow."
  }

  assert {
    condition     = aws_lambda_permission.api.source_arn == "arn:aws:execute-api:eu-central-1:123456789012:api/Prod/*"
    error_message = "Something else than this API's stage may call the function."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.function["api"].policy).Statement == [
      { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["arn:aws:s3:::config/deployed/*"] },
      { Effect = "Allow", Action = ["dynamodb:Query"], Resource = ["arn:aws:dynamodb:eu-central-1:123456789012:table/mock", "arn:aws:dynamodb:eu-central-1:123456789012:table/mock/index/status"] },
      { Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:api"] },
      { Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:eu-central-1:123456789012:log-group:api:*"] },
    ]
    error_message = "The look-up may do more than read the contracts, the log and its own secret, and write its own log."
  }

  # What the gateway answers itself

  assert {
    condition = alltrue([
      for response in aws_api_gateway_gateway_response.this : response.response_parameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
    ])
    error_message = "The gateway answers with something else than a problem."
  }

  assert {
    # The gateway puts a JSON string in the place of messageString.
    condition = alltrue([
      for response in aws_api_gateway_gateway_response.this :
      toset(keys(jsondecode(replace(response.response_templates["application/json"], "$context.error.messageString", "\"said\"")))) ==
      toset(concat(["type", "title", "detail", "requestId"], response.status_code == null ? [] : ["status"]))
    ])
    error_message = "A problem of the gateway has other members than those of the function."
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
    error_message = "The gateway answers with another status."
  }

  assert {
    condition = { for type, response in aws_api_gateway_gateway_response.this : type => response.response_parameters["gatewayresponse.header.Retry-After"] if can(response.response_parameters["gatewayresponse.header.Retry-After"]) } == {
      API_CONFIGURATION_ERROR = "'20'"
      INTEGRATION_FAILURE     = "'20'"
      THROTTLED               = "'1'"
    }
    error_message = "Who may ask again is not told when, or somebody else is."
  }

  assert {
    condition     = aws_api_gateway_rest_api.lookup.minimum_compression_size == "1024"
    error_message = "The gateway does not compress."
  }

  # Off unless asked for

  assert {
    condition     = length(aws_wafv2_web_acl_association.lookup) + length(aws_cloudwatch_log_group.api) + length(aws_api_gateway_stage.prod.access_log_settings) == 0
    error_message = "There is a web ACL or an access log that nobody asked for."
  }

  assert {
    condition     = !can(aws_lambda_function.this["api"].environment[0].variables.GET_TABLE)
    error_message = "The function is told a table for /get that nobody named."
  }

  assert {
    condition     = !can(aws_lambda_function.this["api"].environment[0].variables.CORS_ORIGINS) && !anytrue([for response in aws_api_gateway_gateway_response.this : can(response.response_parameters["gatewayresponse.header.Access-Control-Allow-Origin"])])
    error_message = "CORS is on although nobody asked for it."
  }

  assert {
    condition     = [for settings in aws_api_gateway_method_settings.throttle.settings : [settings.throttling_rate_limit, settings.throttling_burst_limit]] == [[50, 100]]
    error_message = "The throttle is another one by default."
  }
}

run "by_key" {
  variables {
    api_auth = "key"
  }

  assert {
    condition = aws_api_gateway_deployment.lookup.triggers.definition == sha256(jsonencode([
      filesha256("${path.module}/api.tf"), "key", false
    ]))
    error_message = "The gateway is not deployed anew when what it is made from has changed."
  }

  assert {
    condition     = [for name, method in aws_api_gateway_method.this : name if !method.api_key_required] == ["ANY /docs", "ANY /health", "ANY /openapi.json"]
    error_message = "Other routes are open than /docs, /health and /openapi.json."
  }

  assert {
    condition     = toset([for method in aws_api_gateway_method.this : method.authorization]) == toset(["NONE"])
    error_message = "With a key for var.api_auth, IAM has a say."
  }

  assert {
    condition     = length(aws_api_gateway_usage_plan_key.lookup) == 1
    error_message = "var.api_auth asks for a key, and there is none."
  }

  assert {
    condition     = aws_api_gateway_gateway_response.this["MISSING_AUTHENTICATION_TOKEN"].status_code == "404"
    error_message = "A route that is not there is called forbidden."
  }
}

run "everything_set" {
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
    error_message = "A browser of var.api_cors_origins cannot ask, without a key, whether it may call a route."
  }

  assert {
    condition     = lookup(aws_lambda_function.this["api"].environment[0].variables, "GET_TABLE", null) == "projectbudgets"
    error_message = "The function does not know var.api_get_table."
  }

  assert {
    condition     = lookup(aws_lambda_function.this["api"].environment[0].variables, "CORS_ORIGINS", null) == "[\"https://a.example.com:8443\",\"https://b.example.com\"]"
    error_message = "The function does not know var.api_cors_origins."
  }

  assert {
    condition     = alltrue([for response in aws_api_gateway_gateway_response.this : lookup(response.response_parameters, "gatewayresponse.header.Access-Control-Allow-Origin", null) == "'*'"])
    error_message = "A page of var.api_cors_origins cannot read what the gateway answers itself."
  }

  assert {
    condition     = [for settings in flatten([aws_api_gateway_method_settings.throttle.settings, aws_api_gateway_usage_plan.lookup[*].throttle_settings]) : [try(settings.throttling_rate_limit, settings.rate_limit), try(settings.throttling_burst_limit, settings.burst_limit)]] == [[5, 7], [5, 7]]
    error_message = "var.api_throttle does not reach the stage and the key."
  }

  assert {
    condition     = aws_api_gateway_method_settings.throttle.method_path == "*/*"
    error_message = "The stage's throttle is not that of every route."
  }

  assert {
    condition     = [for group in aws_cloudwatch_log_group.api : [group.name, tostring(group.retention_in_days)]] == [["/aws/apigateway/blue-lookup", "90"]]
    error_message = "The access log of var.api_access_logs is another, or kept for another time."
  }

  assert {
    # What is not here may tell of persons: $context.path and $context.identity.* above all.
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
    error_message = "The access log holds something else than was agreed."
  }

  assert {
    condition     = [for association in aws_wafv2_web_acl_association.lookup : [association.web_acl_arn, association.resource_arn]] == [["arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/guard/1234", "arn:aws:apigateway:eu-central-1::/restapis/api/stages/Prod"]]
    error_message = "var.api_web_acl does not guard the stage."
  }
}
