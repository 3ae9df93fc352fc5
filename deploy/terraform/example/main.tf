# Everything for one service, app: by Roles Anywhere, by a web identity, and as an ECS task. Take what you need; change names and ARNs.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

provider "aws" {
  region = "us-east-1"
}

variable "bundle" {
  description = "The trust domain's root certificates in PEM: `spire-server bundle show`."
  type        = string
}

module "rolesanywhere" {
  source         = "../modules/rolesanywhere"
  trust_domain   = "example.org"
  bundle         = var.bundle
  publisher_path = "/spire-server"
  roles = {
    app              = { paths = ["/app"], policy_arns = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"] }
    svidecar-metrics = { paths = ["/app"], policy_arns = ["arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess"] }
  }
}

module "oidc" {
  source       = "../modules/oidc"
  trust_domain = "example.org"
  issuer       = "https://oidc.example.org"
  roles        = { app-web-identity = { paths = ["/app"] } }
}

module "ecs" {
  source = "../modules/ecs"
  name   = "app"
  config = module.rolesanywhere.configs["app"]
}

output "config" {
  description = "terraform output -raw config > config.yaml"
  value       = module.rolesanywhere.configs["app"]
}

output "task" {
  description = "What the task definition of deploy/ecs names."
  value       = { executionRoleArn = module.ecs.execution_role_arn, parameters = module.ecs.parameter_arns }
}
