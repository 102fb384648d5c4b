variable "region" {
  description = "Region of the stack."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Prefix of the name of every resource."
  type        = string
  default     = "tm-complete"
}

variable "alert_emails" {
  description = "Email addresses that receive alerts, after someone clicks the link in AWS's confirmation email."
  type        = set(string)
  default     = []
}

variable "architecture" {
  description = "Instruction set architecture of the functions, x86_64 or arm64. arm64 costs 20% less. To build for another architecture than the local machine's, Docker needs an emulator."
  type        = string
  default     = "x86_64"
}

variable "protected" {
  description = "Whether the stack is protected from being destroyed. To destroy it, its files and its database without a final snapshot, apply false first."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = { Environment = "production", Team = "data" }
}
