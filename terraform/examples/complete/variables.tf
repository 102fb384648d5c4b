variable "region" {
  description = "The region that everything is made in."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Prefix of every resource's name."
  type        = string
  default     = "tm-complete"
}

variable "alert_emails" {
  description = "Addresses that receive the alerts, once they have clicked the link in AWS's mail."
  type        = set(string)
  default     = []
}

variable "architecture" {
  description = "The processors that the functions run on, x86_64 or arm64. Arm64 costs a fifth less; to build for it, Docker must run on it or emulate it."
  type        = string
  default     = "x86_64"
}

variable "protected" {
  description = "Whether a destroy is refused, files in the buckets are kept, and a last snapshot of the database is taken. Apply false before you destroy the stack."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = { Environment = "production", Team = "data" }
}
