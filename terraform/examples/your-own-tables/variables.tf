variable "region" {
  description = "The region that everything is made in."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Prefix of every resource's name."
  type        = string
  default     = "tm-own-tables"
}

variable "alert_emails" {
  description = "Addresses that receive the alerts, once they have clicked the link in AWS's mail."
  type        = set(string)
  default     = []
}

variable "protected" {
  description = "Whether a destroy is refused, files in the buckets are kept, and a last snapshot of the database is taken. Apply false before you destroy the stack."
  type        = bool
  default     = true
}
