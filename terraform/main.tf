data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  # Provider 6 deprecates `name`, and provider 5 has no `region`. A direct reference causes a warning in 6 or an error
  # in 5; lookup() causes neither.
  region = try(lookup(data.aws_region.current, "region"), lookup(data.aws_region.current, "name"))

  # If the file is missing, the whole repository is. A precondition in database.tf reports that.
  version_file = "${path.module}/../shared/version.py"
  version      = fileexists(local.version_file) ? regex("(?m)^VERSION = \"(.+)\"$", file(local.version_file))[0] : null

  own_tags = { Application = var.name, ManagedBy = "Terraform", Version = local.version }
  tags     = merge(local.own_tags, var.tags)

  # The ARN is composed here because a reference would be a cycle: some functions start the state machine that calls
  # them.
  state_machine_name = "${var.name}-ingestion"
  state_machine_arn  = "arn:${local.partition}:states:${local.region}:${local.account}:stateMachine:${local.state_machine_name}"

  # The contract set is one JSON text, which shared/contract_set.py reads. Terraform does not decode the contracts: an
  # invalid contract must stop only its own table (migrate reports it), and nested YAML aliases can exhaust the memory.
  contracts_dir  = var.contracts_dir == null ? "${path.module}/../contracts" : var.contracts_dir
  contract_files = fileset(local.contracts_dir, "*.odcs.yaml")
  contracts      = jsonencode({ for file in local.contract_files : file => try(file("${local.contracts_dir}/${file}"), "") })
  contracts_hash = sha256(local.contracts)
  contracts_key  = "deployed/${local.contracts_hash}.json"
  tables         = [for file in sort(local.contract_files) : trimsuffix(file, ".odcs.yaml")]

  # Used by the preconditions of aws_lambda_invocation.migrate. Base64 encodes three bytes in four characters.
  misnamed_contracts = [
    for file in fileset(local.contracts_dir, "**") : jsonencode(file)
    if can(regex("(?i)[.]ya?ml$", file)) && !can(regex("^[a-z][a-z0-9_]{0,47}[.]odcs[.]yaml$", file))
  ]
  garbled_contracts = [for file in local.contract_files : jsonencode(file) if !can(file("${local.contracts_dir}/${file}"))]
  huge_contracts    = [for file in local.contract_files : jsonencode(file) if length(filebase64("${local.contracts_dir}/${file}")) > 4 * ceil(512 * 1024 / 3)]

  # Location of the contract set. It uses the local hash, not the object's attributes, so that the plan shows the hash.
  contract_settings = {
    CONFIG_BUCKET  = aws_s3_bucket.this["config"].bucket
    CONTRACTS_HASH = local.contracts_hash
  }

  # The objects that trigger and watch start runs for.
  landing_settings = merge(
    { LANDING_BUCKET = local.landing.name },
    contains(local.landing.prefixes, "") ? {} : { LANDING_PREFIXES = jsonencode(local.landing.prefixes) },
  )

  # The folders under functions/ with a handler, and the keys of local.functions. This is a separate list because
  # local.functions refers to resources, which images and validations cannot depend on.
  function_names = ["alert", "api", "load", "migrate", "test", "transform", "trigger", "watch"]

  # Memory (MiB), disk (MiB; the default is 512), timeout (s) and environment of each function. Its permissions are in
  # iam.tf.
  #
  # transform, test and load need 100 MiB for Lambda's runtime, clients and objects in transfer, besides their highest
  # peak. With millions of rows, it is 652, 630 and 451 MiB (`make bench`, states.memory); with hostile files, up to 780,
  # 1,260 and 460 (`python -m benchmarks.hostile --memory`). They have half as much again as they need, and at least the
  # 1,769 MB of a whole processor: with less, they would take longer and cost about the same.
  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
  functions = {
    trigger = {
      memory  = 256
      timeout = 300 # a manifest may start thousands of files
      environment = merge(local.contract_settings, local.landing_settings, {
        LOG_TABLE         = aws_dynamodb_table.log.name
        STATE_MACHINE_ARN = local.state_machine_arn
        MAX_CONCURRENCY   = tostring(var.max_concurrency)
      })
    }
    transform = {
      memory  = 1792
      timeout = 600
      environment = merge(local.contract_settings, {
        LOG_TABLE      = aws_dynamodb_table.log.name
        STAGING_BUCKET = aws_s3_bucket.this["staging"].bucket
      })
    }
    test = {
      memory  = 2048
      disk    = 10240 # for the hashes of all rows, and for rejected rows
      timeout = 600
      environment = merge(local.contract_settings, {
        LOG_TABLE      = aws_dynamodb_table.log.name
        STAGING_BUCKET = aws_s3_bucket.this["staging"].bucket
        HARD_TESTING   = tostring(var.hard_testing)
      })
    }
    load = {
      memory  = 1792
      timeout = 780
      environment = merge(local.contract_settings, local.database_address, local.database_logins.load, {
        LOG_TABLE      = aws_dynamodb_table.log.name
        STAGING_BUCKET = aws_s3_bucket.this["staging"].bucket
      })
    }
    alert = {
      memory  = 256
      timeout = 60
      environment = {
        LOG_TABLE      = aws_dynamodb_table.log.name
        STAGING_BUCKET = aws_s3_bucket.this["staging"].bucket
        TOPIC_ARN      = aws_sns_topic.alerts.arn
        ALERT_ON       = var.alert_on
      }
    }
    watch = {
      memory  = 512
      timeout = 300
      environment = merge(local.contract_settings, local.landing_settings, {
        LOG_TABLE         = aws_dynamodb_table.log.name
        STATE_MACHINE_ARN = local.state_machine_arn
        MAX_CONCURRENCY   = tostring(var.max_concurrency)
      })
    }
    api = {
      memory  = 512
      timeout = 25
      environment = merge(
        local.contract_settings,
        local.database_address,
        local.database_logins.api,
        { LOG_TABLE = aws_dynamodb_table.log.name },
        length(var.api_cors_origins) > 0 ? { CORS_ORIGINS = jsonencode(sort(var.api_cors_origins)) } : {},
        var.api_get_table == null ? {} : { GET_TABLE = var.api_get_table },
      )
    }
    migrate = {
      memory  = 256
      timeout = 300
      environment = merge(
        local.contract_settings,
        local.database_logins.migrate,
        # migrate uses the Data API in a created database, otherwise a connection as load and api do.
        var.database == null ? {
          DATABASE_CLUSTER_ARN = one(aws_rds_cluster.this[*].arn)
          DATABASE_NAME        = local.database.name
        } : local.database_address,
        # The roles that migrate creates.
        local.database.auth == "iam" ? {
          LOADER_USER = local.database_users.load
          READER_USER = local.database_users.api
          } : {
          LOADER_SECRET_ARN = local.database_secret_arns.load
          READER_SECRET_ARN = local.database_secret_arns.api
        },
      )
    }
  }
}
