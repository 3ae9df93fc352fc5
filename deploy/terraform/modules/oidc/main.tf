# STS trusts the tokens of one issuer, SPIRE's; each role trusts the SPIFFE IDs that it names, for one audience.

resource "aws_iam_openid_connect_provider" "this" {
  url            = var.issuer
  client_id_list = [var.audience]
}

locals {
  # The condition keys have the issuer without its scheme.
  issuer   = trimprefix(var.issuer, "https://")
  attached = merge([for name, role in var.roles : { for arn in role.policy_arns : "${name} ${arn}" => { role = name, arn = arn } }]...)
}

resource "aws_iam_role" "this" {
  for_each             = var.roles
  name                 = each.key
  max_session_duration = var.session_seconds
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = aws_iam_openid_connect_provider.this.arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.issuer}:sub" = [for path in each.value.paths : "spiffe://${var.trust_domain}${path}"]
          # Or a token that was made for somebody else, and sent on by them, would do.
          "${local.issuer}:aud" = var.audience
        }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each   = local.attached
  role       = aws_iam_role.this[each.value.role].name
  policy_arn = each.value.arn
}
