// The one piece of the AWS SDK that is used, in a module of its own: imported on first use, and without its hundred siblings.
export { fromWebToken } from '@aws-sdk/credential-providers'
