# What an ECS task definition with svidecar names: the configuration as a parameter, and the execution role that may read it.

locals {
  parameters = merge({ svidecar = var.config }, var.collector_config == null ? {} : { metrics = var.collector_config })
}

resource "aws_ssm_parameter" "this" {
  for_each = local.parameters
  name     = "/${var.name}/${each.key}"
  # There is no secret in it.
  type  = "String"
  value = each.value
}

resource "aws_iam_role" "execution" {
  name = "${var.name}-execution"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ecs-tasks.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

# To pull images and write logs.
resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "execution" {
  name = "configuration"
  role = aws_iam_role.execution.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{ Effect = "Allow", Action = "ssm:GetParameters", Resource = [for parameter in aws_ssm_parameter.this : parameter.arn] }],
      length(var.secret_arns) == 0 ? [] : [{ Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = var.secret_arns }],
    )
  })
}
