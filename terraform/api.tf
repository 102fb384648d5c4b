locals {
  # The function routes requests itself, so a new table changes nothing here. The values tell whether a route is public.
  api_routes = { "/docs" = true, "/health" = true, "/openapi.json" = true, "/{proxy+}" = false }

  # ANY, because only the function can answer unsupported methods with the allowed ones. OPTIONS is public because
  # browsers send preflight requests without credentials.
  api_methods = merge(
    { for path, open in local.api_routes : "ANY ${path}" => { path = path, verb = "ANY", open = open } },
    { for path, _ in(length(var.api_cors_origins) > 0 ? local.api_routes : {}) : "OPTIONS ${path}" => { path = path, verb = "OPTIONS", open = true } },
  )
}

resource "aws_api_gateway_rest_api" "lookup" {
  # checkov:skip=CKV_AWS_237:a new API has a new URL, so create_before_destroy does not avoid downtime
  name        = "${var.name}-lookup"
  description = "Lookup API of the stack ${var.name}."
  tags        = local.tags

  # In bytes, for clients that accept gzip.
  minimum_compression_size = 1024

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  depends_on = [terraform_data.prerequisites]
}

resource "aws_api_gateway_resource" "this" {
  for_each = local.api_routes

  rest_api_id = aws_api_gateway_rest_api.lookup.id
  parent_id   = aws_api_gateway_rest_api.lookup.root_resource_id
  path_part   = trimprefix(each.key, "/")
}

resource "aws_api_gateway_method" "this" {
  # checkov:skip=CKV2_AWS_53:the function validates every request; the gateway has no information about tables and parameters
  for_each = local.api_methods

  rest_api_id      = aws_api_gateway_rest_api.lookup.id
  resource_id      = aws_api_gateway_resource.this[each.value.path].id
  http_method      = each.value.verb
  authorization    = var.api_auth == "iam" && !each.value.open ? "AWS_IAM" : "NONE"
  api_key_required = var.api_auth == "key" && !each.value.open
}

resource "aws_api_gateway_integration" "this" {
  for_each = local.api_methods

  rest_api_id             = aws_api_gateway_rest_api.lookup.id
  resource_id             = aws_api_gateway_resource.this[each.value.path].id
  http_method             = aws_api_gateway_method.this[each.key].http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = aws_lambda_function.this["api"].invoke_arn
}

locals {
  # API Gateway cannot invoke the function, usually because the function is inactive and Lambda is activating it. A
  # client that retries six times every 20 s, as tm user does, waits longer than the 106 s that activation was seen to
  # take.
  unreachable = {
    status = 503
    title  = "Service Unavailable"
    detail = jsonencode("The lookup function cannot be invoked. After weeks without requests it takes a minute or two to start: retry in 20 seconds.")
    after  = 20
  }

  # Answers of API Gateway itself, before it invokes the function or if the function does not answer. `detail` is JSON,
  # or a variable that API Gateway replaces by JSON.
  gateway_problems = {
    # If Lambda rejects an invocation with 403, API Gateway logs a "configuration error" and answers 500:
    # https://repost.aws/knowledge-center/api-gateway-lambda-template-invoke-error. Public reports say the same about
    # 429 and about 409 (an inactive function). AWS documents neither. Not verified on AWS.
    API_CONFIGURATION_ERROR = local.unreachable

    ACCESS_DENIED       = { status = 403, title = "Forbidden", detail = jsonencode("The signer of the request is not allowed to call this route: allow execute-api:Invoke on it.") }
    EXPIRED_TOKEN       = { status = 403, title = "Forbidden", detail = jsonencode("The credentials that signed the request have expired: sign with new credentials.") }
    INTEGRATION_FAILURE = local.unreachable
    INTEGRATION_TIMEOUT = { status = 504, title = "Gateway Timeout", detail = jsonencode("The lookup function did not answer in time: retry, or request less data.") }
    INVALID_API_KEY     = { status = 403, title = "Forbidden", detail = jsonencode("The API key is missing or unknown: send it in the header x-api-key.") }
    INVALID_SIGNATURE   = { status = 403, title = "Forbidden", detail = jsonencode("The signature of the request is invalid or expired: sign it again, for the service execute-api.") }
    QUOTA_EXCEEDED      = { status = 429, title = "Too Many Requests", detail = jsonencode("The API key has reached its monthly quota: retry next month.") }
    REQUEST_TOO_LARGE   = { status = 413, title = "Content Too Large", detail = jsonencode("The request is too large.") }
    THROTTLED           = { status = 429, title = "Too Many Requests", detail = jsonencode("Too many requests: retry in a second."), after = 1 }
    WAF_FILTERED        = { status = 403, title = "Forbidden", detail = jsonencode("The web ACL blocked the request.") }

    # AWS uses this type for unsigned requests and for paths without a route. Here the only path without a route is the
    # root. https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
    MISSING_AUTHENTICATION_TOKEN = var.api_auth == "iam" ? {
      status = 403, title = "Forbidden", detail = jsonencode("The request is not signed with AWS Signature Version 4, or its path is empty: see /docs.")
      } : {
      status = 404, title = "Not Found", detail = jsonencode("The path is empty: see /docs.")
    }

    # All other errors, with the status code that API Gateway sets.
    DEFAULT_4XX = { status = null, title = "Client Error", detail = "$context.error.messageString" }
    DEFAULT_5XX = { status = null, title = "Server Error", detail = "$context.error.messageString" }
  }
}

resource "aws_api_gateway_gateway_response" "this" {
  for_each = local.gateway_problems

  rest_api_id   = aws_api_gateway_rest_api.lookup.id
  response_type = each.key
  status_code   = each.value.status

  # Problem details (RFC 9457).
  response_templates = {
    "application/json" = format("{%s}", join(",", concat(
      ["\"type\":\"about:blank\"", "\"title\":${jsonencode(each.value.title)}"],
      each.value.status == null ? [] : ["\"status\":${each.value.status}"],
      ["\"detail\":${each.value.detail}", "\"requestId\":\"$context.requestId\""],
    )))
  }

  response_parameters = merge(
    { "gatewayresponse.header.Content-Type" = "'application/problem+json'" },
    { for after in try([each.value.after], []) : "gatewayresponse.header.Retry-After" => "'${after}'" },
    # API Gateway cannot select an origin here. '*' is safe because these answers contain no data, and it lets pages
    # distinguish a 429 from a network error.
    length(var.api_cors_origins) > 0 ? { "gatewayresponse.header.Access-Control-Allow-Origin" = "'*'" } : {},
  )
}

resource "aws_api_gateway_deployment" "lookup" {
  rest_api_id = aws_api_gateway_rest_api.lookup.id

  # All inputs of the resources above. A hash of the resources themselves would differ between plan and apply.
  triggers = {
    definition = sha256(jsonencode([
      filesha256("${path.module}/api.tf"),
      var.api_auth,
      length(var.api_cors_origins) > 0,
    ]))
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [
    aws_api_gateway_gateway_response.this,
    aws_api_gateway_integration.this,
  ]
}

resource "aws_api_gateway_stage" "prod" {
  # checkov:skip=CKV_AWS_73:a request is one query, which the function logs; traces are billed
  # checkov:skip=CKV_AWS_76:api_access_logs turns them on in a dynamic block, which checkov does not evaluate
  # checkov:skip=CKV_AWS_120:a cache is billed by the hour and returns outdated rows after a load
  # checkov:skip=CKV2_AWS_4:execution logs need a role that is set once per account, so its owner decides
  # checkov:skip=CKV2_AWS_29:a web ACL is billed by the month; api_web_acl accepts one; requests are authenticated and throttled
  # checkov:skip=CKV2_AWS_77:no Java runs behind it; the owner of the web ACL chooses its rules
  # checkov:skip=CKV2_AWS_51:its only integration is Lambda, which does not use client certificates
  rest_api_id   = aws_api_gateway_rest_api.lookup.id
  deployment_id = aws_api_gateway_deployment.lookup.id
  stage_name    = "Prod"
  tags          = local.tags

  dynamic "access_log_settings" {
    for_each = aws_cloudwatch_log_group.api

    content {
      destination_arn = access_log_settings.value.arn
      # No personal data: not the caller's address, nor the requested path and query, which may contain a person's key.
      # The function's log contains the table, under the same requestId.
      format = jsonencode({
        requestId   = "$context.requestId"
        at          = "$context.requestTimeEpoch"
        verb        = "$context.httpMethod"
        route       = "$context.resourcePath"
        status      = "$context.status"
        bytes       = "$context.responseLength"
        millis      = "$context.responseLatency"
        function    = "$context.integration.status"
        functionFor = "$context.integration.latency"
        problem     = "$context.error.responseType"
      })
    }
  }
}

resource "aws_cloudwatch_log_group" "api" {
  count = var.api_access_logs ? 1 : 0

  name              = "/aws/apigateway/${var.name}-lookup"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = local.tags

  depends_on = [terraform_data.prerequisites]
}

# Limits per method, for all callers together: one for all authenticated routes and one for each public route.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
resource "aws_api_gateway_method_settings" "throttle" {
  # checkov:skip=CKV_AWS_225:a cache is billed by the hour and returns outdated rows after a load
  rest_api_id = aws_api_gateway_rest_api.lookup.id
  stage_name  = aws_api_gateway_stage.prod.stage_name
  method_path = "*/*"

  settings {
    throttling_rate_limit  = var.api_throttle.rate
    throttling_burst_limit = var.api_throttle.burst
  }
}

resource "aws_wafv2_web_acl_association" "lookup" {
  count = var.api_web_acl == null ? 0 : 1

  resource_arn = aws_api_gateway_stage.prod.arn
  web_acl_arn  = var.api_web_acl.arn
}

# Only this stage, with any method and path, because the function validates both.
# https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html#apigateway-permissions
resource "aws_lambda_permission" "api" {
  statement_id  = "lookup"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this["api"].function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_stage.prod.execution_arn}/*"
}

resource "aws_api_gateway_api_key" "lookup" {
  count = var.api_auth == "key" ? 1 : 0

  name  = "${var.name}-lookup"
  value = var.api_key_value
  tags  = local.tags

  depends_on = [terraform_data.prerequisites]
}

resource "aws_api_gateway_usage_plan" "lookup" {
  count = var.api_auth == "key" ? 1 : 0

  name = "${var.name}-lookup"
  tags = local.tags

  api_stages {
    api_id = aws_api_gateway_rest_api.lookup.id
    stage  = aws_api_gateway_stage.prod.stage_name
  }

  # Limits of the key, for all routes together.
  throttle_settings {
    rate_limit  = var.api_throttle.rate
    burst_limit = var.api_throttle.burst
  }

  quota_settings {
    limit  = 1000000
    period = "MONTH"
  }
}

resource "aws_api_gateway_usage_plan_key" "lookup" {
  count = var.api_auth == "key" ? 1 : 0

  usage_plan_id = aws_api_gateway_usage_plan.lookup[0].id
  key_id        = aws_api_gateway_api_key.lookup[0].id
  key_type      = "API_KEY"
}

# API Gateway rejects a second resource with the same path, so Terraform must not create these before it deletes the
# earlier ones.
moved {
  from = aws_api_gateway_resource.first
  to   = aws_api_gateway_resource.this
}
