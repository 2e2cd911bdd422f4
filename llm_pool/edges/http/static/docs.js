// Shows openapi.json with Swagger UI, and sends what is tried out to this very pool.
"use strict";

window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  presets: [window.SwaggerUIBundle.presets.apis],
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  validatorUrl: null, // no other origin is ever asked
});
