/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_API_H
#define NACRE_TEST_API_H

#include <check.h>

/* The cases of the suite: the server and its socket, and what requests do. */
TCase *api_server_case(void);
TCase *api_sock_case(void);
TCase *api_route_case(void);

#endif
