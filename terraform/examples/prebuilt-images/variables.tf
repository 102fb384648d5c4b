variable "image_tag" {
  description = "The tag that the build gave all images, such as the commit that they were built from."
  type        = string
}

variable "repository" {
  description = "What the names of the ECR repositories begin with, <repository>/<function>."
  type        = string
  default     = "tm-pipeline"
}

variable "architecture" {
  description = "The processors that the images were built for, x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "region" {
  description = "The region of the repositories, where everything else is made too."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Prefix of every resource's name."
  type        = string
  default     = "tm-prebuilt"
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
