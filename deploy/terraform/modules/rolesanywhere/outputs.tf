output "trust_anchor_arn" {
  value = aws_rolesanywhere_trust_anchor.this.arn
}

output "profile_arn" {
  value = aws_rolesanywhere_profile.this.arn
}

output "role_arns" {
  description = "By the role's name."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "configs" {
  description = "For each role, a configuration file of svidecar with one profile and one consumer."
  value = { for name, role in aws_iam_role.this : name => yamlencode({
    profiles = { (name) = { roles_anywhere = {
      trust_anchor_arn = aws_rolesanywhere_trust_anchor.this.arn
      profile_arn      = aws_rolesanywhere_profile.this.arn
      role_arn         = role.arn
    } } }
    consumers          = { (name) = { profiles = [name] } }
    container_endpoint = {}
    metrics_endpoint   = {}
  }) }
}
