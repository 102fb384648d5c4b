variable "region" {
  description = "Region of the stack and of the bucket."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Prefix of the name of every resource."
  type        = string
  default     = "tm-cross-account"
}

variable "files_role_arn" {
  description = "ARN of the role that Terraform assumes in the account of the bucket. Null creates the bucket in the account of the pipeline, to try the example with one account."
  type        = string
}

variable "alert_emails" {
  description = "Email addresses that receive alerts, after someone clicks the link in AWS's confirmation email."
  type        = set(string)
  default     = []
}

variable "protected" {
  description = "Whether the stack is protected from being destroyed. To destroy it, its files and its database without a final snapshot, apply false first."
  type        = bool
  default     = true
}
