variable "db_instance_identifier" {
  description = "The instance of RDS for PostgreSQL, with IAM database authentication turned on."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the database's network, with a way to S3 and DynamoDB: their gateway endpoints are free, a NAT gateway does too."
  type        = set(string)
}

variable "security_group_ids" {
  description = "Security groups for the functions: the database lets them in on its port, and they let HTTPS out."
  type        = set(string)
}

variable "database_name" {
  description = "The database in that instance."
  type        = string
  default     = "pipeline"
}

variable "administrator" {
  description = "The role that owns this database; what it needs stands in the README."
  type        = string
  default     = "pipeline"
}

variable "region" {
  description = "The region of the database, where everything else is made too."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Prefix of every resource's name."
  type        = string
  default     = "tm-own-database"
}

variable "alert_emails" {
  description = "Addresses that receive the alerts, once they have clicked the link in AWS's mail."
  type        = set(string)
  default     = []
}

variable "protected" {
  description = "Whether a destroy is refused, and files in the buckets are kept. Apply false before you destroy the stack."
  type        = bool
  default     = true
}
