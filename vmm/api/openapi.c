/* SPDX-License-Identifier: Apache-2.0 */

/* GET /openapi.json: the description of this API, as openapi.json in this folder. */
#include <errno.h>
#include <string.h>

#include "vmm/api/api_impl.h"

extern const char api_openapi[], api_openapi_end[];

int api_get_openapi(struct api_call *call, struct err *e)
{
	call->text = strndup(api_openapi, (size_t)(api_openapi_end - api_openapi));
	call->type = "application/json";
	return call->text ? 0 : err_set(e, -ENOMEM, "Out of memory.");
}
