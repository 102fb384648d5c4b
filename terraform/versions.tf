terraform {
  # Terraform 1.9 and OpenTofu 1.9 introduced validations that refer to other variables.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0" # terraform/README.md names the versions 6.x with known bugs
    }
  }
}
