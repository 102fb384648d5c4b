locals {
  # At most one contract has a look-up. A name that the gateway cannot check is left to the function.
  lookup_keys = flatten([
    for contract in local.contracts : [
      for property in try(contract.schema[0].customProperties, []) : property.value.key
      if property.property == "lookup" && can(regex("^[A-Za-z0-9._-]+$", property.value.key))
    ]
  ])
}

resource "aws_api_gateway_rest_api" "lookup" {
  # checkov:skip=CKV_AWS_237:a new API has a new address, so making it before the old one goes would spare nobody anything
  name        = "${var.name}-lookup"
  description = "Look up what a user checked in."
  tags        = local.tags

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_resource" "get" {
  rest_api_id = aws_api_gateway_rest_api.lookup.id
  parent_id   = aws_api_gateway_rest_api.lookup.root_resource_id
  path_part   = "get"
}

resource "aws_api_gateway_request_validator" "parameters" {
  rest_api_id                 = aws_api_gateway_rest_api.lookup.id
  name                        = "parameters"
  validate_request_parameters = true
}

resource "aws_api_gateway_method" "get" {
  rest_api_id          = aws_api_gateway_rest_api.lookup.id
  resource_id          = aws_api_gateway_resource.get.id
  http_method          = "GET"
  authorization        = "NONE"
  api_key_required     = true
  request_validator_id = aws_api_gateway_request_validator.parameters.id

  request_parameters = { for key in local.lookup_keys : "method.request.querystring.${key}" => true }
}

resource "aws_api_gateway_integration" "get" {
  rest_api_id             = aws_api_gateway_rest_api.lookup.id
  resource_id             = aws_api_gateway_resource.get.id
  http_method             = aws_api_gateway_method.get.http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = aws_lambda_function.this["api"].invoke_arn
}

# What the gateway answers itself, before the function is asked.
resource "aws_api_gateway_gateway_response" "this" {
  for_each = {
    BAD_REQUEST_PARAMETERS = { status = "400", message = "A required parameter is missing: ask for /get?${join("", local.lookup_keys)}=NAME." }
    INVALID_API_KEY        = { status = "403", message = "The API key is missing or unknown: send it in the header x-api-key." }
  }

  rest_api_id        = aws_api_gateway_rest_api.lookup.id
  response_type      = each.key
  status_code        = each.value.status
  response_templates = { "application/json" = jsonencode({ message = each.value.message }) }
}

resource "aws_api_gateway_deployment" "lookup" {
  rest_api_id = aws_api_gateway_rest_api.lookup.id

  # A hash of the resources themselves differs between plan and apply.
  triggers = { definition = sha256(join(" ", concat([filesha256("${path.module}/api.tf")], local.lookup_keys))) }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [
    aws_api_gateway_gateway_response.this,
    aws_api_gateway_integration.get,
  ]
}

resource "aws_api_gateway_stage" "prod" {
  # checkov:skip=CKV_AWS_73:what a call does is one query, which the function logs; traces are billed
  # checkov:skip=CKV_AWS_76:access logs need a role that API Gateway has once per account, so the account decides
  # checkov:skip=CKV_AWS_120:a cache is billed by the hour, and would answer with rows from before a load
  # checkov:skip=CKV2_AWS_4:execution logs need a role that API Gateway has once per account, so the account decides
  # checkov:skip=CKV2_AWS_29:a web ACL is billed by the month; callers need a key and are throttled
  # checkov:skip=CKV2_AWS_51:it talks to nothing but Lambda, which takes no client certificate
  rest_api_id   = aws_api_gateway_rest_api.lookup.id
  deployment_id = aws_api_gateway_deployment.lookup.id
  stage_name    = "Prod"
  tags          = local.tags

  lifecycle {
    # Access logs need a role that API Gateway has once per account, so the account decides, not this stack.
    ignore_changes = [access_log_settings]
  }
}

resource "aws_lambda_permission" "api" {
  statement_id  = "lookup"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this["api"].function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_stage.prod.execution_arn}/${aws_api_gateway_method.get.http_method}${aws_api_gateway_resource.get.path}"
}

resource "aws_api_gateway_api_key" "lookup" {
  name  = "${var.name}-lookup"
  value = var.api_key_value
  tags  = local.tags
}

resource "aws_api_gateway_usage_plan" "lookup" {
  name = "${var.name}-lookup"
  tags = local.tags

  api_stages {
    api_id = aws_api_gateway_rest_api.lookup.id
    stage  = aws_api_gateway_stage.prod.stage_name
  }

  # Far above what people and reports ask for; a loop gone wild ends here and not at the database.
  throttle_settings {
    rate_limit  = 50
    burst_limit = 100
  }

  quota_settings {
    limit  = 1000000
    period = "MONTH"
  }
}

resource "aws_api_gateway_usage_plan_key" "lookup" {
  usage_plan_id = aws_api_gateway_usage_plan.lookup.id
  key_id        = aws_api_gateway_api_key.lookup.id
  key_type      = "API_KEY"
}
