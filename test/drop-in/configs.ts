// Texts of configurations that many cases share.

export const address = 'agent_address = "{socket}"\n'
export const names = { svid: 'svid_file_name = "svid.pem"\n', key: 'svid_key_file_name = "key.pem"\n', bundle: 'svid_bundle_file_name = "bundle.pem"\n' }

/** The three X.509 files, in the folder that the program starts in. */
export const x509Config = `${address}${names.svid}${names.key}${names.bundle}`

export const jwtEntry = (audience: string, file: string, more = ''): string => `{ jwt_audience = "${audience}", jwt_svid_file_name = "${file}"${more} }`
export const jwtConfig = (...entries: readonly string[]): string => `${address}jwt_svids = [${entries.join(', ')}]\n`
export const jwtBundleConfig = `${address}jwt_bundle_file_name = "bundle.json"\n`

/** `cmd` is the recording child. */
export const childConfig = `${x509Config}cmd = "{etc}/child"\n`

export const healthConfig = `${x509Config}health_checks {\n  listener_enabled = true\n  bind_port = {port}\n}\n`
