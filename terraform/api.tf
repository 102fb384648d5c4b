locals {
  # The function does the routing, so a new table changes nothing here: it has one route for all that is closed. The
  # values say which routes are open.
  api_routes = { "/docs" = true, "/health" = true, "/openapi.json" = true, "/{proxy+}" = false }

  # ANY, so that the function tells who sends another verb what is allowed: the gateway cannot. A browser asks before
  # it sends a key, and so without one.
  api_methods = merge(
    { for path, open in local.api_routes : "ANY ${path}" => { path = path, verb = "ANY", open = open } },
    { for path, _ in(length(var.api_cors_origins) > 0 ? local.api_routes : {}) : "OPTIONS ${path}" => { path = path, verb = "OPTIONS", open = true } },
  )
}

resource "aws_api_gateway_rest_api" "lookup" {
  # checkov:skip=CKV_AWS_237:a new API has a new address, so making it before the old one goes would spare nobody anything
  name        = "${var.name}-lookup"
  description = "Look up what a user checked in."
  tags        = local.tags

  # What is longer goes compressed to whoever takes gzip.
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
  # checkov:skip=CKV2_AWS_53:the function checks every request; the gateway knows no table and no parameter of one
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
  # When the gateway gets no answer of the function, most often because Lambda is still preparing it. Whoever asks again
  # every 20 s, six times as tm user does, outlasts the 106 s that this was seen to take.
  unreachable = {
    status = 503
    title  = "Service Unavailable"
    detail = jsonencode("The look-up could not be called, as happens for a minute or two when nobody has used it for weeks: ask again in 20 seconds.")
    after  = 20
  }

  # What the gateway answers itself, before the function is asked or when it does not answer. A detail is JSON, or
  # what the gateway makes JSON of.
  gateway_problems = {
    # A call that Lambda refuses with 403 is a "configuration error" in the gateway's log, and a 500 to the caller:
    # https://repost.aws/knowledge-center/api-gateway-lambda-template-invoke-error. Public reports say the same of 429
    # and of 409, a function that is not active; AWS documents neither. Not verified on AWS.
    API_CONFIGURATION_ERROR = local.unreachable

    ACCESS_DENIED       = { status = 403, title = "Forbidden", detail = jsonencode("Whoever signed the request may not call this route: that needs execute-api:Invoke on it.") }
    EXPIRED_TOKEN       = { status = 403, title = "Forbidden", detail = jsonencode("The credentials that signed the request have expired: get new ones.") }
    INTEGRATION_FAILURE = local.unreachable
    INTEGRATION_TIMEOUT = { status = 504, title = "Gateway Timeout", detail = jsonencode("The look-up did not answer in time: ask again, or for less.") }
    INVALID_API_KEY     = { status = 403, title = "Forbidden", detail = jsonencode("The API key is missing or unknown: send it in the header x-api-key.") }
    INVALID_SIGNATURE   = { status = 403, title = "Forbidden", detail = jsonencode("The request's signature is wrong or too old: sign it anew, for the service execute-api.") }
    QUOTA_EXCEEDED      = { status = 429, title = "Too Many Requests", detail = jsonencode("The key has used up its requests of this month.") }
    REQUEST_TOO_LARGE   = { status = 413, title = "Content Too Large", detail = jsonencode("The request is too large.") }
    THROTTLED           = { status = 429, title = "Too Many Requests", detail = jsonencode("Too many requests at once: ask again in a second."), after = 1 }
    WAF_FILTERED        = { status = 403, title = "Forbidden", detail = jsonencode("The web ACL refused the request.") }

    # One type for two things. The stage's root is the only path without a route, and without IAM no request lacks a
    # token. https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
    MISSING_AUTHENTICATION_TOKEN = var.api_auth == "iam" ? {
      status = 403, title = "Forbidden", detail = jsonencode("The request is not signed by AWS's Signature Version 4, or its path is empty: /docs lists the routes.")
      } : {
      status = 404, title = "Not Found", detail = jsonencode("The path is empty: /docs lists the routes.")
    }

    # Whatever is not above, under a status of its own that these do not know.
    DEFAULT_4XX = { status = null, title = "Client Error", detail = "$context.error.messageString" }
    DEFAULT_5XX = { status = null, title = "Server Error", detail = "$context.error.messageString" }
  }
}

resource "aws_api_gateway_gateway_response" "this" {
  for_each = local.gateway_problems

  rest_api_id   = aws_api_gateway_rest_api.lookup.id
  response_type = each.key
  status_code   = each.value.status

  # Problem details (RFC 9457), put together from JSON.
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
    # The gateway cannot choose among origins. What it says itself tells nothing of anybody, and a page must be able to
    # know a 429 from a broken network.
    length(var.api_cors_origins) > 0 ? { "gatewayresponse.header.Access-Control-Allow-Origin" = "'*'" } : {},
  )
}

resource "aws_api_gateway_deployment" "lookup" {
  rest_api_id = aws_api_gateway_rest_api.lookup.id

  # All that the resources above are made from. A hash of the resources themselves differs between plan and apply.
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
  # checkov:skip=CKV_AWS_73:what a call does is one query, which the function logs; traces are billed
  # checkov:skip=CKV_AWS_76:api_access_logs turns them on, by a dynamic block, which checkov does not follow
  # checkov:skip=CKV_AWS_120:a cache is billed by the hour, and would answer with rows from before a load
  # checkov:skip=CKV2_AWS_4:execution logs need a role that API Gateway has once per account, so the account decides
  # checkov:skip=CKV2_AWS_29:a web ACL is billed by the month; api_web_acl takes one; callers sign or need a key, and are throttled
  # checkov:skip=CKV2_AWS_77:nothing behind it is Java; what a web ACL looks for is its owner's to say
  # checkov:skip=CKV2_AWS_51:it talks to nothing but Lambda, which takes no client certificate
  rest_api_id   = aws_api_gateway_rest_api.lookup.id
  deployment_id = aws_api_gateway_deployment.lookup.id
  stage_name    = "Prod"
  tags          = local.tags

  dynamic "access_log_settings" {
    for_each = aws_cloudwatch_log_group.api

    content {
      destination_arn = access_log_settings.value.arn
      # Nothing of who asks or about whom: neither the address of the caller nor the path and query as they were sent,
      # for a mistaken path may name anybody. Which table it was stands in the function's log, by the same requestId.
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

# Of each method and all callers: one bucket for all closed routes, and one for each open one.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
resource "aws_api_gateway_method_settings" "throttle" {
  # checkov:skip=CKV_AWS_225:a cache is billed by the hour, and would answer with rows from before a load
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

# This stage alone, by any verb and path: those are the function's to refuse.
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

  # Of the key, over all routes.
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

# API Gateway refuses two resources of one name, so the open ones must not be made before the former ones have gone.
moved {
  from = aws_api_gateway_resource.first
  to   = aws_api_gateway_resource.this
}
