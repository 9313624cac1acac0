# What docs/operations/terraform.md says: a network, a cluster with a pool for signers, Postgres, Redis and a bucket on AWS.
terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 6.0" }
  }
}

provider "aws" {
  region = var.region
  default_tags { tags = { project = "m0club", environment = var.environment } }
}

data "aws_caller_identity" "this" {}
