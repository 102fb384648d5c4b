variable "name" {
  description = "Prefix of the name of every resource. Two stacks in one account and region need different names."
  type        = string
  default     = "tm-pipeline"
  nullable    = false

  validation {
    # The longest derived name is a bucket's, "<name>-landing-<account>-<region>", at most 63 characters.
    condition     = can(regex("^[a-z](-?[a-z0-9])+$", var.name)) && length(var.name) >= 3 && length(var.name) <= 26
    error_message = "name must be 3 to 26 lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen: it is part of the names of the buckets and the database."
  }

  validation {
    # docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html and
    # docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html. The other names
    # that S3 reserves cannot occur: "xn--" has two hyphens, and no region has a reserved suffix.
    condition     = !anytrue([for reserved in ["amzn-s3-demo-", "sg-", "sthree-"] : startswith("${var.name}-", reserved)])
    error_message = "name must not begin with a reserved prefix: S3 reserves \"amzn-s3-demo-\" and \"sthree-\", and EC2 refuses security groups named \"sg-…\". Names of resources begin with \"<name>-\": choose another name."
  }
}

variable "contracts_dir" {
  description = <<-EOT
    Folder of the contracts, with one file <table>.odcs.yaml for each table, e.g. "$${path.module}/contracts" in your
    root module. Null uses the sample contracts of this repository. To add or change a table, change a file there and
    apply; no image is rebuilt. See docs/contracts.md.
  EOT
  type        = string
  default     = null
}

variable "landing_bucket" {
  description = <<-EOT
    An existing bucket in which files land; null creates one. The module changes nothing in it and never deletes it.
    It must be in the stack's region, have versioning, and send its events to EventBridge.

    account_id is the account that owns the bucket; null is this account. Another account must allow the functions to
    read the bucket and send them its events: see landing_bucket_needs and examples/cross-account-landing.

    kms_key_arn is the key that encrypts the objects, if it is not AWS's.

    prefixes restricts the pipeline to keys that begin with one of them. tm drop, tm smoke and contracts without keys
    need "table=". By default every new object is a file of a table, or an alert says that its key is unknown.
  EOT
  type = object({
    name        = string
    account_id  = optional(string)
    kms_key_arn = optional(string)
    prefixes    = optional(set(string), [""])
  })
  default = null

  validation {
    condition     = var.landing_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.landing_bucket.name))
    error_message = "landing_bucket.name must be the name of a bucket, 3 to 63 lower-case letters, digits, hyphens and dots, not its ARN or address."
  }

  validation {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    condition     = var.landing_bucket == null || !can(regex("(-s3alias|--ol-s3|[.]mrap|--x-s3|--table-s3)$", var.landing_bucket.name))
    error_message = "landing_bucket.name must be a general purpose bucket, not an access point, directory bucket or table bucket: they have no versions, or send no events to EventBridge."
  }

  validation {
    condition     = try(var.landing_bucket.account_id, null) == null || can(regex("^[0-9]{12}$", var.landing_bucket.account_id))
    error_message = "landing_bucket.account_id must be the 12 digits of an AWS account."
  }

  validation {
    condition     = try(var.landing_bucket.kms_key_arn, null) == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.landing_bucket.kms_key_arn))
    error_message = "landing_bucket.kms_key_arn must be the ARN of a key, \"arn:aws:kms:<region>:<account>:key/<id>\", not its alias: the policies of the functions' roles contain it."
  }

  validation {
    # They are copied into the policies of the functions' roles, where *, ? and $ have a meaning. IAM accepts only Latin-1:
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html
    condition     = try(length(var.landing_bucket.prefixes) > 0 && length(var.landing_bucket.prefixes) <= 10 && alltrue([for prefix in var.landing_bucket.prefixes : can(regex("^[^*?$[:cntrl:]]{0,200}$", prefix)) && can(regex("^[ -\u00ff]*$", prefix))]), var.landing_bucket == null)
    error_message = "landing_bucket.prefixes must be 1 to 10 beginnings of keys, each of at most 200 characters of Latin-1, without *, ?, $ and control characters."
  }

  validation {
    # An event pattern has at most 2,048 characters: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
    condition     = try(length(join("", var.landing_bucket.prefixes)) <= 1500, true)
    error_message = "landing_bucket.prefixes must have together at most 1,500 characters: use shorter beginnings of keys."
  }

  validation {
    condition     = try(alltrue([for pair in setproduct(var.landing_bucket.prefixes, var.landing_bucket.prefixes) : pair[0] == pair[1] || !startswith(pair[0], pair[1])]), true)
    error_message = "landing_bucket.prefixes contains a prefix that begins with another one, which covers it: remove the longer one."
  }
}

variable "alert_emails" {
  description = "Email addresses that receive alerts. AWS sends each address a confirmation email. An address receives no alerts until someone clicks the link in it."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@[:space:],;<>\"]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+$", address))])
    error_message = "alert_emails must contain email addresses such as \"data-team@example.com\", one per element, without a display name."
  }
}

variable "alert_on" {
  description = "Which outcomes of ingestions send an alert: \"all\", \"failures\", or \"failures_and_rejects\" (failures and successful loads with rejected rows). Missing files and lost events always send an alert."
  type        = string
  default     = "all"
  nullable    = false

  validation {
    condition     = contains(["all", "failures", "failures_and_rejects"], var.alert_on)
    error_message = "alert_on must be all, failures or failures_and_rejects."
  }
}

variable "hard_testing" {
  description = "How Test treats a file with failed rows. True halts the file before Load. False quarantines the failed rows and loads the others."
  type        = bool
  default     = false
  nullable    = false
}

variable "architecture" {
  description = "Instruction set architecture of the functions and of the images that apply builds: \"x86_64\" or \"arm64\". arm64 costs 20% less. To build for another architecture than the local machine's, Docker needs an emulator."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "base_image" {
  description = "Base image of the functions, with the AWS Lambda runtime for Python 3.13. Add a digest to pin it. Its name is part of the image tags, so another base image rebuilds and redeploys the functions."
  type        = string
  default     = "public.ecr.aws/lambda/python:3.13"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9._-]+)*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]+)?$", var.base_image))
    error_message = "base_image must be a Docker image name without a scheme, such as \"public.ecr.aws/lambda/python:3.13\"."
  }
}

variable "published_images" {
  description = <<-EOT
    Published images of a release. Apply copies them to ECR instead of building images; this needs the AWS CLI and curl,
    but no Docker. `registry` contains one image for each function, <registry>/<function>:<version of this module>.
    `version` and `digests`, {alert = "sha256:…", …}, are on the release's page; with them apply copies exactly these
    images, even if a tag is moved. For a private registry, set the environment variable
    TM_REGISTRY_LOGIN=<user>:<password> where apply runs. Published images are for x86_64.
  EOT
  type = object({
    registry = string
    version  = optional(string)
    digests  = optional(map(string))
  })
  default = null

  validation {
    condition     = var.published_images == null || can(regex("^[a-z0-9-]+([.][a-z0-9-]+)+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$", var.published_images.registry))
    error_message = "published_images.registry must be a registry host and a lower-case path, such as \"ghcr.io/<owner>/tm-pipeline\", without a scheme or a tag."
  }

  validation {
    condition     = try(var.published_images.digests, null) == null || try(toset(keys(var.published_images.digests)) == toset(local.function_names) && alltrue([for digest in values(var.published_images.digests) : can(regex("^sha256:[0-9a-f]{64}$", digest))]), false)
    error_message = "published_images.digests must contain one digest, \"sha256:…\", for each of ${replace(join(", ", local.function_names), "/, ([a-z]+)$/", " and $1")}, and nothing else."
  }

  validation {
    condition     = (try(var.published_images.digests, null) == null) == (try(var.published_images.version, null) == null)
    error_message = "published_images.version and published_images.digests must be set together: copy both from the release's page."
  }

  validation {
    condition     = var.published_images == null || var.architecture == "x86_64"
    error_message = "published_images are for x86_64 only: remove architecture, or remove published_images to build the images."
  }

  validation {
    condition     = var.published_images == null || var.image_uris == null && var.function_zip == null
    error_message = "published_images, image_uris and function_zip exclude each other: set only one of them."
  }
}

variable "image_uris" {
  description = "Images of the functions on ECR, if you build them yourself: {alert = \"<account>.dkr.ecr.<region>.amazonaws.com/<name>@sha256:…\", …}. If image_uris, published_images and function_zip are all null, apply builds and pushes the images with Docker and the AWS CLI."
  type        = map(string)
  default     = null

  validation {
    condition     = var.image_uris == null || try(toset(keys(var.image_uris)) == toset(local.function_names), false)
    error_message = "image_uris must contain one image for each of ${replace(join(", ", local.function_names), "/, ([a-z]+)$/", " and $1")}, and nothing else."
  }

  validation {
    condition     = var.image_uris == null || try(alltrue([for uri in values(var.image_uris) : can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[^@[:space:]]+(:|@sha256:)[^@:[:space:]]+$", uri))]), false)
    error_message = "image_uris must be ECR images with a digest or a tag, \"<account>.dkr.ecr.<region>.amazonaws.com/<name>@sha256:…\": Lambda accepts images from ECR only."
  }
}

variable "function_zip" {
  description = "Zip archive on S3 with the code and dependencies of all functions, instead of images. hash is the base64-encoded SHA-256 of the archive, as filebase64sha256() returns it; a changed hash deploys a new archive under the same key."
  type = object({
    bucket = string
    key    = string
    hash   = string
  })
  default = null

  validation {
    condition     = var.function_zip == null || var.image_uris == null
    error_message = "function_zip and image_uris exclude each other: set only one of them."
  }

  validation {
    condition     = var.function_zip == null || try(length(var.function_zip.bucket) > 0 && length(var.function_zip.key) > 0, false)
    error_message = "function_zip.bucket and function_zip.key must not be empty: they locate the archive on S3."
  }

  validation {
    condition     = var.function_zip == null || can(regex("^[A-Za-z0-9+/]{43}=$", var.function_zip.hash))
    error_message = "function_zip.hash must be the base64-encoded SHA-256 of the archive (44 characters), as filebase64sha256() returns it."
  }
}

variable "database" {
  description = <<-EOT
    An existing PostgreSQL database; null creates one on Aurora (see aurora). The function load writes rows, api reads
    them, and migrate creates tables and roles. Each logs in with its own role; auth is "iam" or "secret".

    iam: users names the three roles. resource_id is the RDS resource ID of the instance, cluster or proxy ("db-…",
    "cluster-…", "prx-…"), which must be in this account and region. users.migrate must exist, be allowed to create
    roles and tables, and have rds_iam. migrate creates the other two roles.

    secret: secret_arns are three secrets in Secrets Manager, each {"username": …, "password": …}. The role in migrate's
    secret must be allowed to create roles and tables. migrate creates the other two roles.

    vpc runs load, api and migrate in subnets, with security groups that the database accepts; without vpc they connect
    over the internet. From these subnets all three functions must also reach S3, load and api must reach DynamoDB, and
    with auth = "secret" all three must reach Secrets Manager, through endpoints or a NAT gateway. Terraform cannot check
    these routes; without them the functions fail.
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
    error_message = "database.host must be only a host name, such as \"db.example.com\", without a scheme, user or port."
  }

  validation {
    condition     = var.database == null || try(var.database.port > 0 && var.database.port < 65536 && floor(var.database.port) == var.database.port, false)
    error_message = "database.port must be a whole number from 1 to 65535."
  }

  validation {
    condition     = var.database == null || can(regex("^[^[:space:]]{1,63}$", var.database.name))
    error_message = "database.name must be the name of a database: 1 to 63 characters without spaces."
  }

  validation {
    condition     = var.database == null || try(contains(["iam", "secret"], var.database.auth), false)
    error_message = "database.auth must be \"iam\" (roles that log in with an IAM token) or \"secret\" (roles with a password in Secrets Manager)."
  }

  validation {
    condition     = try(var.database.auth, "") != "iam" || try(var.database.users != null && var.database.resource_id != null && var.database.secret_arns == null, false)
    error_message = "database.auth = \"iam\" requires database.users (the roles of migrate, load and api) and database.resource_id (the database that they connect to). Remove secret_arns."
  }

  validation {
    condition     = try(var.database.auth, "") != "secret" || try(var.database.secret_arns != null && var.database.users == null && var.database.resource_id == null, false)
    error_message = "database.auth = \"secret\" requires database.secret_arns (the secrets of migrate, load and api). Remove users, which the secrets contain, and resource_id."
  }

  validation {
    condition     = try(var.database.resource_id, null) == null || can(regex("^(cluster|db|prx)-[A-Za-z0-9]+$", var.database.resource_id))
    error_message = "database.resource_id must be an RDS resource ID, \"cluster-…\", \"db-…\" or \"prx-…\", not the name or ARN of the database."
  }

  validation {
    # PostgreSQL accepts more characters, but some are wildcards in IAM.
    condition     = try(var.database.users, null) == null || try(alltrue([for user in values(var.database.users) : can(regex("^[A-Za-z_][A-Za-z0-9_.-]{0,62}$", user))]) && length(distinct(values(var.database.users))) == 3, false)
    error_message = "database.users must name three different roles, each of at most 63 letters, digits, underscores, hyphens and dots: migrate owns the tables, load writes to them, and api reads them."
  }

  validation {
    # They are copied unchanged into the policies of the functions' roles.
    condition     = try(var.database.secret_arns, null) == null || try(alltrue([for arn in values(var.database.secret_arns) : can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+$", arn))]), false)
    error_message = "database.secret_arns must be full ARNs of Secrets Manager secrets, \"arn:aws:secretsmanager:<region>:<account>:secret:<name>\", without wildcards."
  }

  validation {
    condition     = try(var.database.vpc, null) == null || try(length(var.database.vpc.subnet_ids) > 0 && alltrue([for id in var.database.vpc.subnet_ids : can(regex("^subnet-[0-9a-z]+$", id))]), false)
    error_message = "database.vpc.subnet_ids must contain at least one subnet, \"subnet-…\", that has a route to the database."
  }

  validation {
    condition     = try(var.database.vpc, null) == null || try(length(var.database.vpc.security_group_ids) > 0 && alltrue([for id in var.database.vpc.security_group_ids : can(regex("^sg-[0-9a-z]+$", id))]), false)
    error_message = "database.vpc.security_group_ids must contain at least one security group, \"sg-…\", that the database accepts."
  }
}

variable "database_ca_bundle" {
  description = <<-EOT
    Certificate authorities (CAs) that load, api and migrate trust when they connect to PostgreSQL, as PEM text, e.g.
    file("ca.pem"). They then trust no other CA. Null trusts the CAs of Amazon RDS in the regions that
    terraform/README.md lists and, with database.auth = "secret", the public CAs.

    Set it in these cases. In a region that is not listed, use the region's bundle from
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html. For an RDS Proxy with auth = "iam", use
    the CAs from https://www.amazontrust.com/repository/. For a PostgreSQL server with a private CA, use that CA.

    Python 3.13 requires CA certificates that comply with RFC 5280: create one in openssl with
    -addext keyUsage=critical,keyCertSign. The value must be known at plan time. The functions read it from S3.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.database_ca_bundle == null || can(regex("-----BEGIN CERTIFICATE-----\\s+[A-Za-z0-9+/=\\s]+-----END CERTIFICATE-----", var.database_ca_bundle))
    error_message = "database_ca_bundle must be PEM certificates, \"-----BEGIN CERTIFICATE-----…\", as file(\"ca.pem\") returns them, not a file name."
  }

  validation {
    condition     = var.database_ca_bundle == null || !can(regex("-----BEGIN [A-Z ]*PRIVATE KEY-----", var.database_ca_bundle))
    error_message = "database_ca_bundle contains a private key, and its text is stored in Terraform's state and in S3: set it to certificates only."
  }
}

variable "aurora" {
  description = <<-EOT
    Settings of the Aurora database that the module creates if database is null. max_capacity: maximum capacity in ACUs
    (2 GiB of memory each); the minimum is 0. backup_days: retention of backups, in days. final_snapshot: whether
    deleting the database takes a snapshot, which remains after the stack is destroyed. deletion_protection applies to
    this database too.
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
    error_message = "aurora.backup_days must be a whole number from 1 to 35: AWS does not allow 0."
  }

  validation {
    condition     = var.database == null || var.aurora == { max_capacity = 4, backup_days = 7, final_snapshot = true }
    error_message = "aurora configures the database that the module creates, but database is set and so none is created: remove one of them."
  }
}

variable "api_auth" {
  # docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html#apigateway-usage-plans-best-practices
  description = "Authentication of the lookup API. \"iam\": callers sign requests (AWS Signature Version 4) and need execute-api:Invoke on <api_execution_arn>/GET/*, or for one table on <api_execution_arn>/GET/tables/<table> and GET/tables/<table>/*. \"key\": all callers send the same API key in the header x-api-key. AWS advises against API keys for authentication or authorization, and Terraform's state contains the key. /health, /docs and /openapi.json are always public."
  type        = string
  default     = "iam"
  nullable    = false

  validation {
    condition     = contains(["iam", "key"], var.api_auth)
    error_message = "api_auth must be \"iam\" (signed requests) or \"key\" (an API key in the header x-api-key)."
  }
}

variable "api_get_table" {
  description = "Table whose rows GET <api_url>/get?<name of its key>=<key> returns. Null uses the only table whose contract has a lookup. Independently of this, every table has its own routes under <api_url>/tables."
  type        = string
  default     = null

  validation {
    condition     = var.api_get_table == null || can(regex("^[a-z][a-z0-9_]{0,47}$", var.api_get_table))
    error_message = "api_get_table must be the name of a table, as in its contract's file name <table>.odcs.yaml: up to 48 lower-case letters, digits and underscores, beginning with a letter."
  }
}

variable "api_key_value" {
  description = "API key that callers of the lookup API send in the header x-api-key if api_auth = \"key\". Null lets AWS generate one. Terraform's state contains the key in both cases, so encrypt the state."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.api_key_value == null || try(length(var.api_key_value) >= 20 && length(var.api_key_value) <= 128, false)
    error_message = "api_key_value must be 20 to 128 characters long."
  }

  validation {
    condition     = var.api_key_value == null || var.api_auth == "key"
    error_message = "api_key_value is set, but api_auth = \"iam\", the default, uses no key: remove api_key_value, or set api_auth = \"key\"."
  }
}

variable "api_cors_origins" {
  description = "Origins whose pages may call the lookup API from a browser (CORS), e.g. [\"https://reports.example.com\"]. None by default."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.api_cors_origins : can(regex("^https?://[a-z0-9.-]+(:[0-9]{1,5})?$", origin))])
    error_message = "api_cors_origins must contain origins such as \"https://reports.example.com\" or \"http://localhost:8080\": a scheme, a lower-case host and an optional port, without a path or a wildcard."
  }
}

variable "api_throttle" {
  description = "Throttling of the lookup API: steady requests per second (rate) and maximum concurrent requests (burst). The limits apply to all authenticated routes together, to each public route and, with api_auth = \"key\", to the key. API Gateway answers further requests with 429, but enforces limits on a best-effort basis and may accept more. The account's own limits apply too."
  type = object({
    rate  = optional(number, 50)
    burst = optional(number, 100)
  })
  default  = {}
  nullable = false

  validation {
    condition     = try(var.api_throttle.rate >= 1 && var.api_throttle.rate <= 10000, false)
    error_message = "api_throttle.rate must be 1 to 10000 requests per second."
  }

  validation {
    condition     = try(var.api_throttle.burst >= 1 && var.api_throttle.burst <= 5000 && floor(var.api_throttle.burst) == var.api_throttle.burst, false)
    error_message = "api_throttle.burst must be a whole number of requests from 1 to 5000."
  }
}

variable "api_access_logs" {
  description = "Whether the lookup API logs every request as JSON, without the caller's identity or the requested key. API Gateway writes logs with a role that is set once per account and region (Settings in its console, or the resource aws_api_gateway_account). Set that role first: without it AWS rejects the stage. This module does not set it because all APIs in the account share it."
  type        = bool
  default     = false
  nullable    = false
}

variable "api_web_acl" {
  description = "AWS WAF web ACL that protects the lookup API: {arn = \"arn:aws:wafv2:…:regional/webacl/…\"}. The type is an object so that the same apply can create the web ACL."
  type = object({
    arn = string
  })
  default = null

  validation {
    condition     = var.api_web_acl == null || can(regex("^arn:[a-z-]+:wafv2:[a-z0-9-]+:[0-9]{12}:regional/webacl/[^/]+/[^/]+$", var.api_web_acl.arn))
    error_message = "api_web_acl.arn must be the ARN of a regional web ACL, \"arn:aws:wafv2:<region>:<account>:regional/webacl/<name>/<id>\": a global one (CloudFront) cannot protect this API."
  }
}

variable "watch_schedule" {
  description = "EventBridge schedule expression that sets how often watch checks for missing files, lost events and stuck executions."
  type        = string
  default     = "rate(15 minutes)"
  nullable    = false

  validation {
    # EventBridge accepts "rate(1 minute)" and "rate(2 minutes)", but not "rate(1 minutes)". In a cron expression
    # exactly one of day of month and day of week is "?".
    condition = anytrue([
      can(regex("^rate[(](1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))[)]$", var.watch_schedule)),
      can(regex("^cron[(]([^ ()?]+ ){2}([^ ()?]+ [^ ()?]+ [?]|[?] [^ ()?]+ [^ ()?]+) [^ ()?]+[)]$", var.watch_schedule)),
    ])
    error_message = "watch_schedule must be an EventBridge schedule expression such as \"rate(1 hour)\", \"rate(15 minutes)\" or \"cron(0 6 * * ? *)\", with the six fields minutes, hours, day of month, month, day of week and year, where one of the two days is \"?\"."
  }
}

variable "max_concurrency" {
  description = "Maximum number of concurrent executions of the state machine. Further files wait. Each execution uses one of the account's concurrent Lambda executions (a new account often has only 10) and at most one database connection."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = try(var.max_concurrency >= 1 && var.max_concurrency <= 100 && floor(var.max_concurrency) == var.max_concurrency, false)
    error_message = "max_concurrency must be a whole number from 1 to 100."
  }
}

variable "staging_retention_days" {
  description = "Days after which objects in the staging bucket (Parquet parts, rejects, reports) are deleted. Null keeps them."
  type        = number
  default     = null

  validation {
    condition     = var.staging_retention_days == null || try(var.staging_retention_days >= 1 && floor(var.staging_retention_days) == var.staging_retention_days, false)
    error_message = "staging_retention_days must be a whole number, at least 1, or null to keep everything."
  }

  validation {
    condition     = var.staging_retention_days == null || var.manage_lifecycle_rules
    error_message = "staging_retention_days is set, but manage_lifecycle_rules = false creates no lifecycle rules."
  }
}

variable "manage_lifecycle_rules" {
  description = "Whether the module manages the lifecycle rules of its buckets. Set it to false if an automation of your organisation does: a bucket has one lifecycle configuration, so two managers overwrite each other. Its rules should then abort incomplete multipart uploads in every bucket, delete objects in `kept/` of the config bucket after 30 days, and not expire other objects there or in the landing bucket."
  type        = bool
  default     = true
  nullable    = false
}

variable "force_destroy" {
  description = "Whether destroying the stack deletes all objects in its buckets, in every version. If false, AWS refuses to delete a bucket that is not empty. To destroy the stack with its files, apply true first."
  type        = bool
  default     = false
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the log table and the created database. If true, destroying the stack fails before anything is removed. To destroy the stack, apply false first."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "Retention of the logs in CloudWatch, in days."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains([
      1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
    ], var.log_retention_days)
    error_message = "log_retention_days must be a retention period that CloudWatch supports: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "log_level" {
  description = "Minimum log level of the functions: DEBUG, INFO, WARNING or ERROR."
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
    KMS key that encrypts the stack's data: the buckets, the log table, the topic, the logs, the functions' environment
    variables, the images that apply builds, and the created database with its secret. Null uses keys that AWS manages.
    Step Functions stores only names and counts, no rows, and always uses AWS's key.

    The key policy must delegate access to the account's IAM policies, as the default key policy does. It must also allow
    logs.<region>.amazonaws.com to encrypt and decrypt, and cloudwatch.amazonaws.com to use kms:Decrypt and
    kms:GenerateDataKey*; without these, no alarm reaches the topic. examples/complete contains such a key.

    The module grants the functions' roles the access that they need. Principals that upload files need
    kms:GenerateDataKey and kms:Decrypt. Principals that read staging, the log table or the logs need kms:Decrypt. The
    principal that applies also needs kms:CreateGrant.

    Set it at the first apply. A later change does not re-encrypt existing data. It replaces the ECR repositories with
    their images, and it would replace the created database, which deletion_protection prevents.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, \"arn:aws:kms:<region>:<account>:key/<id>\", not its alias: the policies of the functions' roles contain it."
  }
}

variable "tags" {
  description = "Tags for every resource. They are merged with the module's own tags (Application, ManagedBy, Version) and may override them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    # AWS allows 50. The module adds up to four: its own three and, in the network, Name.
    condition = length(var.tags) <= 46 && alltrue([
      for key, value in var.tags :
      can(regex("^[\\pL\\pN\\pZ_.:/=+@-]{1,128}$", key)) && can(regex("^[\\pL\\pN\\pZ_.:/=+@-]{0,256}$", value)) && !startswith(lower(key), "aws:")
    ])
    error_message = "tags must contain at most 46 tags, with keys of 1 to 128 and values of up to 256 letters, digits, spaces and _ . : / = + @ -. A key must not begin with \"aws:\"."
  }
}

variable "alert_endpoints" {
  description = "HTTPS endpoints that receive alerts. SNS first posts a SubscribeURL to each endpoint, which the endpoint must visit to confirm."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for url in var.alert_endpoints : can(regex("^https://[^/@[:space:]]+(/[^[:space:]]*)?$", url))])
    error_message = "alert_endpoints must contain URLs such as \"https://example.com/alerts\": with https, and without a user or password, which Terraform's state would contain."
  }
}

variable "alert_queue_arns" {
  description = "ARNs of SQS queues that receive alerts. Each queue's policy must allow sns.amazonaws.com to send messages from this topic (output topic_arn). If a KMS key encrypts the queue, the key policy must allow sns.amazonaws.com to use kms:Decrypt and kms:GenerateDataKey."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alert_queue_arns : can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}$", arn))])
    error_message = "alert_queue_arns must contain ARNs of SQS standard queues, \"arn:aws:sqs:<region>:<account>:<name>\": a standard topic cannot send to a FIFO queue (.fifo)."
  }
}

variable "alarm_topic_arn" {
  description = "ARN of a second SNS topic, e.g. a pager's. It is notified when the first alarm turns on and when the last alarm turns off. Its policy must allow cloudwatch.amazonaws.com to publish. If a KMS key encrypts the topic, the key policy must allow cloudwatch.amazonaws.com to use kms:Decrypt and kms:GenerateDataKey*. The alerts topic is notified of each alarm in any case."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_topic_arn == null || can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be the ARN of an SNS standard topic, \"arn:aws:sns:<region>:<account>:<name>\": an alarm cannot publish to a FIFO topic (.fifo)."
  }
}

variable "reject_rate_percent" {
  description = "Percentage of rejected rows in a loaded file above which the alarm reject-rate turns on."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = try(var.reject_rate_percent >= 0 && var.reject_rate_percent < 100, false)
    error_message = "reject_rate_percent must be at least 0 and less than 100: a loaded file never exceeds 100 percent."
  }
}
