variable "name" {
  description = "The service: its parameters are /NAME/…, its execution role is NAME-execution."
  type        = string
}

variable "config" {
  description = "The configuration of svidecar."
  type        = string
  validation {
    condition     = length(var.config) <= 4096
    error_message = "A standard parameter holds 4096 characters."
  }
}

variable "collector_config" {
  description = "The configuration of the collector; left out where there is none."
  type        = string
  default     = null
}

variable "secret_arns" {
  description = "Secrets that the task definition names besides."
  type        = list(string)
  default     = []
}
