variable "image_tag" {
  description = "Tag of the images, e.g. the commit that they were built from."
  type        = string
}

variable "repository" {
  description = "Prefix of the names of the ECR repositories, <repository>/<function>."
  type        = string
  default     = "tm-pipeline"
}

variable "architecture" {
  description = "Instruction set architecture of the images, x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "region" {
  description = "Region of the repositories and the stack."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Prefix of the name of every resource."
  type        = string
  default     = "tm-prebuilt"
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
