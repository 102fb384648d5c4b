variable "name" {
  description = "Prefix of every resource's name. Two stacks in one account and region need two names."
  type        = string
  default     = "tm-pipeline"
  nullable    = false

  validation {
    # The longest name made from it is a bucket's, "<name>-landing-<account>-<region>", of at most 63 characters.
    condition     = can(regex("^[a-z](-?[a-z0-9])+$", var.name)) && length(var.name) >= 3 && length(var.name) <= 26
    error_message = "name must be 3 to 26 lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen: it becomes part of the names of buckets and of the database."
  }

  validation {
    # docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html and
    # docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html. What else S3 reserves cannot occur:
    # "xn--" has two hyphens, and the reserved endings do not look like a region's.
    condition     = !anytrue([for reserved in ["amzn-s3-demo-", "sg-", "sthree-"] : startswith("${var.name}-", reserved)])
    error_message = "name must not make names that begin with \"amzn-s3-demo-\" or \"sthree-\", which S3 reserves, or with \"sg-\", which EC2 refuses for security groups. They begin with \"<name>-\": choose another name."
  }
}

variable "contracts_dir" {
  description = <<-EOT
    The folder of your contracts, one file <table>.odcs.yaml for each table: "$${path.module}/contracts" in your root
    module. Null takes this repository's samples. To add or change a table, change a file there and apply: no image is
    built. docs/contracts.md says what a contract may ask for.
  EOT
  type        = string
  default     = null
}

variable "alert_emails" {
  description = "Addresses that receive the alerts. Each gets a mail from AWS and receives nothing until the link in it was clicked."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@[:space:],;<>\"]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+$", address))])
    error_message = "alert_emails must hold e-mail addresses such as \"data-team@example.com\", one each, without the person's name."
  }
}

variable "alert_on" {
  description = "Which ends of ingestions are told: all, failures alone, or failures_and_rejects, which are also the successes of which rows were rejected. That a file did not come or that an event was lost is told in any case."
  type        = string
  default     = "all"
  nullable    = false

  validation {
    condition     = contains(["all", "failures", "failures_and_rejects"], var.alert_on)
    error_message = "alert_on must be all, failures or failures_and_rejects."
  }
}

variable "hard_testing" {
  description = "Whether a file with any failed test is halted before Load (true) or its failed rows are set aside and the others loaded (false)."
  type        = bool
  default     = false
  nullable    = false
}

variable "architecture" {
  description = "The processors that the functions run on, and that apply builds their images for: x86_64 or arm64 (a fifth cheaper; on another machine's processor Docker needs an emulator to build for it)."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "base_image" {
  description = "The image that apply builds the functions' images from, one with AWS's runtime for Python 3.13. Name it with a digest to decide yourself when it changes: it counts into the tags, and so a new one is built and deployed."
  type        = string
  default     = "public.ecr.aws/lambda/python:3.13"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9._-]+)*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]+)?$", var.base_image))
    error_message = "base_image must be the name of an image as Docker takes it, such as \"public.ecr.aws/lambda/python:3.13\": no scheme."
  }
}

variable "published_images" {
  description = <<-EOT
    Where a release has published the functions' images, so that apply copies them to ECR instead of building them. It
    needs the AWS CLI and curl for that, and no Docker. `registry` holds an image of each function,
    <registry>/<function>:<version of this module>. `version` and `digests`, {alert = "sha256:…", …}, are on the
    release's page: with them, apply copies exactly these images, whatever a tag there is moved to. For a registry that
    is not public, set the environment variable TM_REGISTRY_LOGIN=<user>:<password> where apply runs. Published images
    are for x86_64.
  EOT
  type = object({
    registry = string
    version  = optional(string)
    digests  = optional(map(string))
  })
  default = null

  validation {
    condition     = var.published_images == null || can(regex("^[a-z0-9-]+([.][a-z0-9-]+)+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$", var.published_images.registry))
    error_message = "published_images.registry must be a registry's host and a path in lower case, such as \"ghcr.io/<owner>/tm-pipeline\": no scheme, no tag."
  }

  validation {
    condition     = try(var.published_images.digests, null) == null || try(toset(keys(var.published_images.digests)) == toset(local.function_names) && alltrue([for digest in values(var.published_images.digests) : can(regex("^sha256:[0-9a-f]{64}$", digest))]), false)
    error_message = "published_images.digests must name one digest, \"sha256:…\", for each of ${replace(join(", ", local.function_names), "/, ([a-z]+)$/", " and $1")}, and nothing else."
  }

  validation {
    condition     = (try(var.published_images.digests, null) == null) == (try(var.published_images.version, null) == null)
    error_message = "published_images.version and published_images.digests belong together: take both from the release's page."
  }

  validation {
    condition     = var.published_images == null || var.architecture == "x86_64"
    error_message = "published_images are for x86_64, not for the given architecture: leave that out, or build the images."
  }

  validation {
    condition     = var.published_images == null || var.image_uris == null && var.function_zip == null
    error_message = "published_images excludes image_uris and function_zip: the functions' code comes from one of them."
  }
}

variable "image_uris" {
  description = "The image of every function on ECR, from a build elsewhere: {alert = \"<account>.dkr.ecr.<region>.amazonaws.com/<name>@sha256:…\", …}. Null, without published_images and function_zip, lets apply build and push them, with Docker and the AWS CLI."
  type        = map(string)
  default     = null

  validation {
    condition     = var.image_uris == null || try(toset(keys(var.image_uris)) == toset(local.function_names), false)
    error_message = "image_uris must name one image for each of ${replace(join(", ", local.function_names), "/, ([a-z]+)$/", " and $1")}, and nothing else."
  }

  validation {
    condition     = var.image_uris == null || try(alltrue([for uri in values(var.image_uris) : can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[^@[:space:]]+(:|@sha256:)[^@:[:space:]]+$", uri))]), false)
    error_message = "image_uris must be images on ECR with a digest or a tag, \"<account>.dkr.ecr.<region>.amazonaws.com/<name>@sha256:…\": Lambda takes them from nowhere else."
  }
}

variable "function_zip" {
  description = "Instead of images, a zip on S3 that holds the code of every function and all that it imports; hash is its base64 SHA-256, as filebase64sha256() gives it, and makes a new zip under the same key deploy."
  type = object({
    bucket = string
    key    = string
    hash   = string
  })
  default = null

  validation {
    condition     = var.function_zip == null || var.image_uris == null
    error_message = "function_zip and image_uris exclude each other: the functions are one or the other."
  }

  validation {
    condition     = var.function_zip == null || try(length(var.function_zip.bucket) > 0 && length(var.function_zip.key) > 0, false)
    error_message = "function_zip.bucket and function_zip.key must say where on S3 the zip is."
  }

  validation {
    condition     = var.function_zip == null || can(regex("^[A-Za-z0-9+/]{43}=$", var.function_zip.hash))
    error_message = "function_zip.hash must be the zip's SHA-256 in base64 (44 characters), as filebase64sha256() gives it."
  }
}

variable "database" {
  description = <<-EOT
    A PostgreSQL database that is there already; null creates one on Aurora (see aurora). load writes rows to it, api
    reads them, migrate makes tables and roles: each logs in as a role of its own, by auth = "iam" or "secret".

    iam: users names the three roles, and resource_id is what IAM calls the instance, cluster or proxy ("db-…",
    "cluster-…", "prx-…"), which must be in this account and region. users.migrate must be there, may create roles and
    tables, and has rds_iam; migrate makes the other two.

    secret: secret_arns are three secrets in Secrets Manager, each {"username": …, "password": …}: migrate's may create
    roles and tables, and migrate makes the other two.

    vpc puts load, api and migrate into subnets, with security groups that the database lets in; without it they reach
    it over the internet. From those subnets all three must also reach S3, load and api DynamoDB, and with secret all
    three Secrets Manager, by endpoints or a NAT gateway. Nothing can check that here: without it the functions fail.
  EOT
  type = object({
    host        = string
    port        = optional(number, 5432)
    name        = string
    auth        = string
    resource_id = optional(string)
    users = optional(object({
      migrate = string
      load    = string
      api     = string
    }))
    secret_arns = optional(object({
      migrate = string
      load    = string
      api     = string
    }))
    vpc = optional(object({
      subnet_ids         = set(string)
      security_group_ids = set(string)
    }))
  })
  default = null

  validation {
    condition     = var.database == null || can(regex("^[^/:@[:space:]]+$", var.database.host))
    error_message = "database.host must be a host's name alone, such as \"db.example.com\": no scheme, user or port."
  }

  validation {
    condition     = var.database == null || try(var.database.port > 0 && var.database.port < 65536 && floor(var.database.port) == var.database.port, false)
    error_message = "database.port must be a whole number from 1 to 65535."
  }

  validation {
    condition     = var.database == null || can(regex("^[^[:space:]]{1,63}$", var.database.name))
    error_message = "database.name must be the name of a database, of at most 63 characters and no spaces."
  }

  validation {
    condition     = var.database == null || try(contains(["iam", "secret"], var.database.auth), false)
    error_message = "database.auth must be \"iam\", for roles that log in with a token, or \"secret\", for roles with a password in Secrets Manager."
  }

  validation {
    condition     = try(var.database.auth, "") != "iam" || try(var.database.users != null && var.database.resource_id != null && var.database.secret_arns == null, false)
    error_message = "database.auth = \"iam\" needs database.users, the roles of migrate, load and api, and database.resource_id, the database that they may connect to; it takes no secret_arns."
  }

  validation {
    condition     = try(var.database.auth, "") != "secret" || try(var.database.secret_arns != null && var.database.users == null && var.database.resource_id == null, false)
    error_message = "database.auth = \"secret\" needs database.secret_arns, the secrets of migrate, load and api; it takes neither users, which the secrets name, nor resource_id."
  }

  validation {
    condition     = try(var.database.resource_id, null) == null || can(regex("^(cluster|db|prx)-[A-Za-z0-9]+$", var.database.resource_id))
    error_message = "database.resource_id must be what RDS calls the resource ID, \"cluster-…\", \"db-…\" or \"prx-…\": not the database's name or ARN."
  }

  validation {
    # What else PostgreSQL would take could be a wildcard to IAM.
    condition     = try(var.database.users, null) == null || try(alltrue([for user in values(var.database.users) : can(regex("^[A-Za-z_][A-Za-z0-9_.-]{0,62}$", user))]) && length(distinct(values(var.database.users))) == 3, false)
    error_message = "database.users must name three different roles, each of at most 63 letters, digits, underscores, hyphens and dots: migrate owns the tables, load writes, api only reads."
  }

  validation {
    # They go into the functions' roles as they are.
    condition     = try(var.database.secret_arns, null) == null || try(alltrue([for arn in values(var.database.secret_arns) : can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+$", arn))]), false)
    error_message = "database.secret_arns must be whole ARNs of Secrets Manager secrets, \"arn:aws:secretsmanager:<region>:<account>:secret:<name>\", without wildcards."
  }

  validation {
    condition     = try(var.database.vpc, null) == null || try(length(var.database.vpc.subnet_ids) > 0 && alltrue([for id in var.database.vpc.subnet_ids : can(regex("^subnet-[0-9a-z]+$", id))]), false)
    error_message = "database.vpc.subnet_ids must name at least one subnet, \"subnet-…\", from which the database can be reached."
  }

  validation {
    condition     = try(var.database.vpc, null) == null || try(length(var.database.vpc.security_group_ids) > 0 && alltrue([for id in var.database.vpc.security_group_ids : can(regex("^sg-[0-9a-z]+$", id))]), false)
    error_message = "database.vpc.security_group_ids must name at least one security group, \"sg-…\", that the database lets in."
  }
}

variable "database_ca_bundle" {
  description = <<-EOT
    The certificate authorities that load, api and migrate trust when they connect to PostgreSQL, as PEM text such as
    file("ca.pem"); they trust no others then. Null trusts those of Amazon RDS in the regions that terraform/README.md
    lists, and with database.auth = "secret" the public ones too.

    Give it in a region that is not listed, with the region's bundle from
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html; for a PostgreSQL elsewhere with an
    authority of its own; and for an RDS Proxy with auth = "iam", whose certificates are of
    https://www.amazontrust.com/repository/. An authority must follow RFC 5280, as Python 3.13 checks it: one made with
    openssl needs -addext keyUsage=critical,keyCertSign. The value must be known when Terraform plans. The functions
    read it from S3.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.database_ca_bundle == null || can(regex("-----BEGIN CERTIFICATE-----\\s+[A-Za-z0-9+/=\\s]+-----END CERTIFICATE-----", var.database_ca_bundle))
    error_message = "database_ca_bundle must be the text of certificates in PEM, \"-----BEGIN CERTIFICATE-----…\", as file(\"ca.pem\") gives it: not the file's name."
  }

  validation {
    condition     = var.database_ca_bundle == null || !can(regex("-----BEGIN [A-Z ]*PRIVATE KEY-----", var.database_ca_bundle))
    error_message = "database_ca_bundle holds a private key: give certificates alone, since the text is kept in Terraform's state and in S3."
  }
}

variable "aurora" {
  description = <<-EOT
    The database that the module creates when none is given. max_capacity: the ACUs (2 GiB of memory each) that it may
    grow to; it shrinks to none by itself. backup_days: how far back it can be restored. final_snapshot: whether a
    snapshot is taken when it is deleted; it outlives the stack. deletion_protection covers it too.
  EOT
  type = object({
    max_capacity   = optional(number, 4)
    backup_days    = optional(number, 7)
    final_snapshot = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = try(var.aurora.max_capacity >= 1 && var.aurora.max_capacity <= 256 && floor(var.aurora.max_capacity * 2) == var.aurora.max_capacity * 2, false)
    error_message = "aurora.max_capacity must be 1 to 256 ACUs, in steps of a half."
  }

  validation {
    condition     = try(var.aurora.backup_days >= 1 && var.aurora.backup_days <= 35 && floor(var.aurora.backup_days) == var.aurora.backup_days, false)
    error_message = "aurora.backup_days must be a whole number from 1 to 35: AWS always keeps the backups of a day."
  }

  validation {
    condition     = var.database == null || var.aurora == { max_capacity = 4, backup_days = 7, final_snapshot = true }
    error_message = "aurora says what the created database is like, but with database none is created: set one or the other."
  }
}

variable "api_auth" {
  # docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html#apigateway-usage-plans-best-practices
  description = "How callers of the look-up API prove who they are: \"iam\", by signing their requests (AWS Signature Version 4) as somebody who is allowed execute-api:Invoke on <api_execution_arn>/GET/* (or, of one table, <api_execution_arn>/GET/tables/<table> and GET/tables/<table>/*), or \"key\", by one API key for all of them in the header x-api-key. AWS advises against API keys for authentication or authorization, and the key stands in Terraform's state. /health, /docs and /openapi.json are open either way."
  type        = string
  default     = "iam"
  nullable    = false

  validation {
    condition     = contains(["iam", "key"], var.api_auth)
    error_message = "api_auth must be \"iam\", for signed requests, or \"key\", for an API key in the header x-api-key."
  }
}

variable "api_get_table" {
  description = "The table whose rows GET <api_url>/get?<its key's name>=<key> returns; null for the only table whose contract has a lookup. Every table has routes of its own below <api_url>/tables, whatever this is."
  type        = string
  default     = null

  validation {
    condition     = var.api_get_table == null || can(regex("^[a-z][a-z0-9_]{0,47}$", var.api_get_table))
    error_message = "api_get_table must be the name of a table as in its contract's file, <table>.odcs.yaml: up to 48 lower-case letters, digits and underscores, the first of them a letter."
  }
}

variable "api_key_value" {
  description = "With api_auth = \"key\", the key that callers of the look-up API send in the header x-api-key; null lets AWS make one. Either way it stands in Terraform's state, so encrypt the state."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.api_key_value == null || try(length(var.api_key_value) >= 20 && length(var.api_key_value) <= 128, false)
    error_message = "api_key_value must be 20 to 128 characters long."
  }

  validation {
    condition     = var.api_key_value == null || var.api_auth == "key"
    error_message = "api_key_value is a key, but with api_auth = \"iam\", the default, there is none: leave it out, or set api_auth = \"key\"."
  }
}

variable "api_cors_origins" {
  description = "The origins whose pages may call the look-up API from a browser, such as [\"https://reports.example.com\"]; none by default."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.api_cors_origins : can(regex("^https?://[a-z0-9.-]+(:[0-9]{1,5})?$", origin))])
    error_message = "api_cors_origins must hold origins as browsers write them, such as \"https://reports.example.com\" or \"http://localhost:8080\": a scheme, a host in lower case and at most a port, no path and no wildcard."
  }
}

variable "api_throttle" {
  description = "How many requests a second (rate), and at once (burst), the look-up API takes: over all closed routes, of each open one, and with api_auth = \"key\" of the key too. AWS takes them for targets: it may let more through. What is beyond is answered 429. An account has limits of its own above these."
  type = object({
    rate  = optional(number, 50)
    burst = optional(number, 100)
  })
  default  = {}
  nullable = false

  validation {
    condition     = try(var.api_throttle.rate >= 1 && var.api_throttle.rate <= 10000, false)
    error_message = "api_throttle.rate must be 1 to 10000 requests a second."
  }

  validation {
    condition     = try(var.api_throttle.burst >= 1 && var.api_throttle.burst <= 5000 && floor(var.api_throttle.burst) == var.api_throttle.burst, false)
    error_message = "api_throttle.burst must be a whole number of requests from 1 to 5000."
  }
}

variable "api_access_logs" {
  description = "Whether the look-up API logs every request, as JSON without who asked or about whom. API Gateway writes logs by a role that an account sets once for each region (Settings in its console, or the resource aws_api_gateway_account), and AWS refuses the stage until it is set: it is not this stack's to set, for it is everybody's."
  type        = bool
  default     = false
  nullable    = false
}

variable "api_web_acl" {
  description = "A web ACL (AWS WAF) that guards the look-up API: {arn = \"arn:aws:wafv2:…:regional/webacl/…\"}. An object, so that the ACL may be made in the same apply."
  type = object({
    arn = string
  })
  default = null

  validation {
    condition     = var.api_web_acl == null || can(regex("^arn:[a-z-]+:wafv2:[a-z0-9-]+:[0-9]{12}:regional/webacl/[^/]+/[^/]+$", var.api_web_acl.arn))
    error_message = "api_web_acl.arn must be the ARN of a regional web ACL, \"arn:aws:wafv2:<region>:<account>:regional/webacl/<name>/<id>\": one of CloudFront (global) guards no API."
  }
}

variable "watch_schedule" {
  description = "How often watch looks for files that never came, events that were lost and runs that are stuck: an EventBridge schedule expression."
  type        = string
  default     = "rate(15 minutes)"
  nullable    = false

  validation {
    # EventBridge takes "rate(1 minute)" and "rate(2 minutes)" alone, and a cron's day by the month or by the week.
    condition = anytrue([
      can(regex("^rate[(](1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))[)]$", var.watch_schedule)),
      can(regex("^cron[(]([^ ()?]+ ){2}([^ ()?]+ [^ ()?]+ [?]|[?] [^ ()?]+ [^ ()?]+) [^ ()?]+[)]$", var.watch_schedule)),
    ])
    error_message = "watch_schedule must be an EventBridge schedule expression such as \"rate(1 hour)\", \"rate(15 minutes)\" or \"cron(0 6 * * ? *)\", whose six fields are minutes, hours, day of month, month, day of week and year, one of the two days \"?\"."
  }
}

variable "max_concurrency" {
  description = "How many files are in the state machine at once; others wait their turn. Each uses one of the account's concurrent executions of Lambda, of which a new account often has only 10, and at most one connection to the database."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = try(var.max_concurrency >= 1 && var.max_concurrency <= 100 && floor(var.max_concurrency) == var.max_concurrency, false)
    error_message = "max_concurrency must be a whole number from 1 to 100."
  }
}

variable "staging_retention_days" {
  description = "Days after which what lies in staging (Parquet parts, rejects, reports) is deleted; null keeps it."
  type        = number
  default     = null

  validation {
    condition     = var.staging_retention_days == null || try(var.staging_retention_days >= 1 && floor(var.staging_retention_days) == var.staging_retention_days, false)
    error_message = "staging_retention_days must be a whole number, at least 1, or null to keep everything."
  }
}

variable "force_destroy" {
  description = "Whether destroying the stack deletes the files in its buckets, every version of them. With false AWS refuses to delete a bucket that holds any; to destroy the stack with its files, apply true first."
  type        = bool
  default     = false
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the log table and a created database, and destroying the stack fails before anything is removed. To destroy the stack, apply false first."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "Days for which CloudWatch keeps the logs."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains([
      1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
    ], var.log_retention_days)
    error_message = "log_retention_days must be a period that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "log_level" {
  description = "The least severe level that the functions log."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING or ERROR."
  }
}

variable "kms_key_arn" {
  description = <<-EOT
    The KMS key that encrypts all that the module keeps: the buckets, the log table, the topic, the logs, the
    functions' environments, the images it builds, and the database it creates with its secret. Null leaves that to keys
    of AWS. Step Functions keeps no rows, only names and counts, and stays with AWS's key.

    The key's policy must leave its use to the account's IAM policies, as the default one does, and must itself allow
    logs.<region>.amazonaws.com to encrypt and decrypt, and cloudwatch.amazonaws.com kms:Decrypt and
    kms:GenerateDataKey*, without which no alarm reaches the topic; examples/complete has such a key. The roles of the
    functions are allowed what they need of it; whoever drops files needs kms:GenerateDataKey and kms:Decrypt, whoever
    reads staging, the log or the logs kms:Decrypt, and whoever applies kms:CreateGrant too.

    Choose it for the first apply: what is there keeps its key, except that a created database would be replaced, which
    its deletion protection refuses, and repositories are, with their images.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, \"arn:aws:kms:<region>:<account>:key/<id>\", not its alias: the functions' roles name it."
  }
}

variable "tags" {
  description = "Tags for every resource, beside the module's own (Application, ManagedBy, Version), which they may replace."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    # AWS takes 50, and up to four are the module's: its own three and, in the network, Name.
    condition = length(var.tags) <= 46 && alltrue([
      for key, value in var.tags :
      can(regex("^[\\pL\\pN\\pZ_.:/=+@-]{1,128}$", key)) && can(regex("^[\\pL\\pN\\pZ_.:/=+@-]{0,256}$", value)) && !startswith(lower(key), "aws:")
    ])
    error_message = "tags must be at most 46, with keys of 1 to 128 and values of at most 256 letters, digits, spaces and _ . : / = + @ -; a key must not begin with \"aws:\"."
  }
}

variable "alert_endpoints" {
  description = "HTTPS addresses that receive the alerts, beside alert_emails. SNS first posts each a SubscribeURL, which it must visit."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for url in var.alert_endpoints : can(regex("^https://[^/@[:space:]]+(/[^[:space:]]*)?$", url))])
    error_message = "alert_endpoints must hold addresses such as \"https://example.com/alerts\": with https, and no user or password, which would stand in Terraform's state."
  }
}

variable "alert_queue_arns" {
  description = "SQS queues that receive the alerts, beside alert_emails. Each queue's own policy must let sns.amazonaws.com send to it for this topic (output topic_arn), and if a KMS key encrypts it, that key's policy must let it kms:Decrypt and kms:GenerateDataKey."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alert_queue_arns : can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}$", arn))])
    error_message = "alert_queue_arns must hold ARNs of SQS queues, \"arn:aws:sqs:<region>:<account>:<name>\"; SNS serves no queue that keeps an order (.fifo) from a topic that keeps none."
  }
}

variable "alarm_topic_arn" {
  description = "A second SNS topic, such as a pager's: it is told when the first alarm goes on and when the last is off. Its own policy must let cloudwatch.amazonaws.com publish to it, and if a KMS key encrypts it, that key's policy must let it kms:Decrypt and kms:GenerateDataKey*. Null tells the alerts' topic alone, of each alarm."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_topic_arn == null || can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be the ARN of an SNS topic, \"arn:aws:sns:<region>:<account>:<name>\"; an alarm cannot publish to one that keeps an order (.fifo)."
  }
}

variable "reject_rate_percent" {
  description = "Above how many per cent of rejected rows a file that was loaded sets off the alarm."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = try(var.reject_rate_percent >= 0 && var.reject_rate_percent < 100, false)
    error_message = "reject_rate_percent must be at least 0 and less than 100: more than that is never reached."
  }
}
