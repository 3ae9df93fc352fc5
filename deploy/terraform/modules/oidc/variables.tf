variable "issuer" {
  description = "The jwt_issuer of SPIRE server, as the tokens have it: where the OIDC discovery provider answers."
  type        = string
  validation {
    condition     = can(regex("^https://[^/?#]+(/[^?#]*[^/?#])?$", var.issuer))
    error_message = "An https address without a slash at the end, a query or a fragment, as the iss of the tokens."
  }
}

variable "audience" {
  description = "The aud of the tokens, as the configuration of svidecar asks for it."
  type        = string
  default     = "sts.amazonaws.com"
}

variable "trust_domain" {
  description = "The SPIFFE trust domain, such as example.org."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9._-]+$", var.trust_domain))
    error_message = "A trust domain is a name such as example.org: no scheme, no path, no capitals."
  }
}

variable "roles" {
  description = "Roles by name: the SPIFFE IDs that may have one, as paths in the trust domain, and the policies that it gives."
  type = map(object({
    paths       = list(string)
    policy_arns = optional(list(string), [])
  }))
  validation {
    condition     = alltrue([for role in var.roles : length(role.paths) > 0 && alltrue([for path in role.paths : can(regex("^(/[A-Za-z0-9._-]+)+$", path))])])
    error_message = "Each role names at least one path, such as /app. There are no wildcards: whoever has the SPIFFE ID has the role."
  }
}

variable "session_seconds" {
  description = "Longest life of a session. Under an hour SDKs renew at every call."
  type        = number
  default     = 3600
  validation {
    condition     = var.session_seconds >= 3600 && var.session_seconds <= 43200
    error_message = "From 3600, an hour, to 43200, twelve."
  }
}
