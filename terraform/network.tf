# Network of the created database, without internet access: it has routes to S3 and DynamoDB only. Nothing in it is
# billed while it is not used. It is not created if var.database is set.
data "aws_availability_zones" "available" {
  # checkov:skip=CKV_AWS_394:the module uses the first three zones by name, and AWS adds new zones after them
  count = var.database == null ? 1 : 0

  state = "available"

  # Excludes Local and Wavelength Zones, which require an opt-in and do not all support Aurora and Lambda.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }

  # An old zone of us-east-1 that newer services do not support. Its letter differs between accounts.
  exclude_zone_ids = ["use1-az3"]
}

locals {
  # Aurora always stores data in three zones. Lambda continues in the other zones if one fails.
  zones = flatten([for zones in data.aws_availability_zones.available : slice(sort(zones.names), 0, min(3, length(zones.names)))])

  # The VPC is not peered with any other, so the addresses cannot conflict. A function uses one address per subnet.
  cidr = "10.0.0.0/24"

  database_port = 5432

  # Gateway endpoints are free. Functions need no other endpoints: Lambda itself sends the logs, and IAM tokens for the
  # database are signed locally.
  gateways = toset(var.database == null ? ["dynamodb", "s3"] : [])

  # The functions that run in a network, and its subnets and security groups.
  networked = var.database != null && try(var.database.vpc, null) == null ? [] : local.database_clients
  vpc = one(concat(
    [for vpc in aws_vpc.this : {
      subnet_ids         = [for subnet in aws_subnet.private : subnet.id]
      security_group_ids = aws_security_group.function[*].id
    }],
    [for database in var.database[*] : database.vpc if database.vpc != null],
  ))
}

resource "aws_vpc" "this" {
  # checkov:skip=CKV2_AWS_11:the network allows only connections to the database, S3 and DynamoDB; flow logs are billed
  count = var.database == null ? 1 : 0

  cidr_block = local.cidr
  tags       = merge(local.tags, { Name = var.name })

  depends_on = [terraform_data.prerequisites]
}

resource "aws_subnet" "private" {
  for_each = { for index, zone in local.zones : zone => index }

  vpc_id            = aws_vpc.this[0].id
  availability_zone = each.key
  cidr_block        = cidrsubnet(local.cidr, 2, each.value)
  tags              = merge(local.tags, { Name = "${var.name}-${each.key}" })

  # Same reason as for aws_security_group.function below.
  timeouts {
    delete = "2h"
  }
}

# Contains the routes of the gateway endpoints, and none to the internet.
resource "aws_route_table" "private" {
  count = var.database == null ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = var.name })
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[0].id
}

# The endpoint policies allow only the roles of load and api, and only the actions of these roles. So code in the
# network cannot copy rows to another bucket.
resource "aws_vpc_endpoint" "gateway" {
  for_each = local.gateways

  vpc_id            = aws_vpc.this[0].id
  service_name      = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private[0].id]
  tags              = merge(local.tags, { Name = "${var.name}-${each.key}" })

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = flatten([
      for name in local.database_clients : [
        for statement in local.permissions[name] : {
          Effect    = "Allow"
          Principal = "*"
          Action    = statement.actions
          Resource  = statement.resources
          Condition = { ArnEquals = { "aws:PrincipalArn" = aws_iam_role.function[name].arn } }
        } if startswith(statement.actions[0], "${each.key}:")
      ]
    ])
  })
}

# Without rules: a resource that has no security group of its own can connect to nothing.
resource "aws_default_security_group" "this" {
  count = var.database == null ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = "${var.name}-default" })
}

resource "aws_security_group" "function" {
  # checkov:skip=CKV2_AWS_5:the functions use it in a dynamic vpc_config, which checkov does not evaluate
  count = var.database == null ? 1 : 0

  name        = "${var.name}-function"
  description = "The functions of ${var.name} that talk to its database."
  vpc_id      = aws_vpc.this[0].id
  tags        = merge(local.tags, { Name = "${var.name}-function" })

  # Lambda deletes its network interfaces with the functions' permissions, some time after it deleted the functions.
  # Until then the group and the subnets are in use, so Terraform must delete the group before the permissions.
  depends_on = [aws_iam_role_policy.function]

  # The provider waits for 45 minutes by default, but Lambda has taken more than an hour
  # (github.com/hashicorp/terraform-provider-aws/issues/32130).
  timeouts {
    delete = "2h"
  }
}

resource "aws_security_group" "database" {
  count = var.database == null ? 1 : 0

  name        = "${var.name}-database"
  description = "The database of ${var.name}."
  vpc_id      = aws_vpc.this[0].id
  tags        = merge(local.tags, { Name = "${var.name}-database" })
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count = var.database == null ? 1 : 0

  security_group_id            = aws_security_group.database[0].id
  description                  = "PostgreSQL, from the functions."
  referenced_security_group_id = aws_security_group.function[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.database_port
  to_port                      = local.database_port
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "database" {
  count = var.database == null ? 1 : 0

  security_group_id            = aws_security_group.function[0].id
  description                  = "PostgreSQL, to the database."
  referenced_security_group_id = aws_security_group.database[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.database_port
  to_port                      = local.database_port
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "gateway" {
  for_each = aws_vpc_endpoint.gateway

  security_group_id = aws_security_group.function[0].id
  description       = "HTTPS, to ${each.key} by its gateway."
  prefix_list_id    = each.value.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = local.tags
}
