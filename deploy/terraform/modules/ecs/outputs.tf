output "execution_role_arn" {
  description = "executionRoleArn of the task definition."
  value       = aws_iam_role.execution.arn
}

output "parameter_arns" {
  description = "valueFrom of SVIDECAR_CONFIG_YAML, and of AOT_CONFIG_CONTENT if there is a collector."
  value       = { for name, parameter in aws_ssm_parameter.this : name => parameter.arn }
}
