variable "db_instance_identifier" {
  description = "Identifier of the RDS for PostgreSQL instance. IAM database authentication must be enabled."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the database's VPC, with routes to S3 and DynamoDB through gateway endpoints (free) or a NAT gateway."
  type        = set(string)
}

variable "security_group_ids" {
  description = "Security groups of the functions. The database must accept them on its port, and they must allow outbound HTTPS and PostgreSQL."
  type        = set(string)
}

variable "database_name" {
  description = "Name of the database in that instance."
  type        = string
  default     = "pipeline"
}

variable "administrator" {
  description = "Role that owns the database. See the README for the privileges that it needs."
  type        = string
  default     = "pipeline"
}

variable "region" {
  description = "Region of the database and the stack."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Prefix of the name of every resource."
  type        = string
  default     = "tm-own-database"
}

variable "alert_emails" {
  description = "Email addresses that receive alerts, after someone clicks the link in AWS's confirmation email."
  type        = set(string)
  default     = []
}

variable "protected" {
  description = "Whether the stack is protected from being destroyed. To destroy it and the files in its buckets, apply false first."
  type        = bool
  default     = true
}
