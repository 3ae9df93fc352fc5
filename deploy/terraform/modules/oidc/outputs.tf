output "provider_arn" {
  value = aws_iam_openid_connect_provider.this.arn
}

output "role_arns" {
  description = "By the role's name."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "configs" {
  description = "For each role, a configuration file of svidecar with one profile and one consumer."
  value = { for name, role in aws_iam_role.this : name => yamlencode({
    profiles           = { (name) = { web_identity = { role_arn = role.arn, audience = var.audience } } }
    consumers          = { (name) = { profiles = [name] } }
    container_endpoint = {}
    metrics_endpoint   = {}
  }) }
}
