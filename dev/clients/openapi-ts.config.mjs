// Run in .run/clients, by build.sh.
export default {
  input: '../../docs/openapi.json',
  output: { path: 'typescript/src', module: { extension: '.js' } },
  // Where the shop is, its customer says.
  plugins: [{ name: '@hey-api/client-fetch', baseUrl: false }, '@hey-api/sdk', '@hey-api/typescript'],
};
