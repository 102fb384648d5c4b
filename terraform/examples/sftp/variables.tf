variable "region" {
  description = "Region of the stack."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Prefix of the name of every resource."
  type        = string
  default     = "tm-sftp"
}

variable "enable_sftp" {
  description = "Whether there is an SFTP server, which AWS bills by the hour: about 220 USD a month."
  type        = bool
  default     = false
}

variable "suppliers" {
  description = "Public SSH key of each supplier, by user name, e.g. {acme = \"ssh-ed25519 AAAA…\"}."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.suppliers) : can(regex("^[a-z0-9][a-z0-9-]{2,15}$", name))])
    error_message = "suppliers must have names of 3 to 16 lower-case letters, digits and hyphens: they are part of the keys of the files and of the names of roles."
  }
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
