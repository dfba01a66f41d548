/** The version of this library, which is that of the service it was made for. A test compares it with package.json. */
export const version = '0.1.0'
