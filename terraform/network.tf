# The network of the database that the module creates: no way in or out of it but to S3 and DynamoDB, and nothing
# in it that costs while nobody uses it. A database that is given has a network already.
data "aws_availability_zones" "available" {
  # checkov:skip=CKV_AWS_394:the first three by name are taken, and a zone that AWS adds comes after them
  count = var.database == null ? 1 : 0

  state = "available"

  # Local and Wavelength Zones have to be opted into, and neither Aurora nor Lambda is in all of them.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }

  # An old zone of us-east-1, under another letter in each account, which newer services have not come to.
  exclude_zone_ids = ["use1-az3"]
}

locals {
  # Aurora keeps its data in three zones whatever we choose; Lambda goes on in the others when one is gone.
  zones = flatten([for zones in data.aws_availability_zones.available : slice(sort(zones.names), 0, min(3, length(zones.names)))])

  # Nothing else is ever joined to it, so its addresses are nobody's concern. A function takes one in each subnet.
  cidr = "10.0.0.0/24"

  database_port = 5432

  # What a function in the network may reach beside the database. Gateways cost nothing; nothing else is needed:
  # Lambda itself takes the logs, and a token for the database is signed without asking anybody.
  gateways = toset(var.database == null ? ["dynamodb", "s3"] : [])

  # The functions that run in a network, and where.
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
  # checkov:skip=CKV2_AWS_11:there is no way in, and out only to the database, S3 and DynamoDB; flow logs are billed
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

  # As long as the functions' security group, below.
  timeouts {
    delete = "2h"
  }
}

# It holds the gateways' routes and none to the internet.
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

# Through a gateway goes what the role of load or api allows, by that role: what runs there cannot carry rows to a
# bucket elsewhere.
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

# Emptied: what is put into the network without a group of its own can talk to nobody.
resource "aws_default_security_group" "this" {
  count = var.database == null ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = "${var.name}-default" })
}

resource "aws_security_group" "function" {
  # checkov:skip=CKV2_AWS_5:the functions have it, by a dynamic vpc_config, which checkov does not follow
  count = var.database == null ? 1 : 0

  name        = "${var.name}-function"
  description = "The functions of ${var.name} that talk to its database."
  vpc_id      = aws_vpc.this[0].id
  tags        = merge(local.tags, { Name = "${var.name}-function" })

  # Lambda gives its network interfaces back with the functions' rights, some time after the functions are gone. The
  # group and the subnets are in use until then, so the rights go after the group.
  depends_on = [aws_iam_role_policy.function]

  # The provider waits for 45 minutes unless it is told more, and it has taken Lambda more than an hour
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
