/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_FAKES_H
#define NACRE_API_FAKES_H

/*
 * What the API calls beside its own, under other names: of a machine, its devices and a server. For those
 * who include vmm/api's sources behind this, and say what these do.
 */
#define machine_build		    fake_machine_build
#define machine_start		    fake_machine_start
#define machine_set_api		    fake_machine_set_api
#define machine_finish		    fake_machine_finish
#define machine_free		    fake_machine_free
#define machine_end		    fake_machine_end
#define machine_pause		    fake_machine_pause
#define machine_resume		    fake_machine_resume
#define machine_press_button	    fake_press_button
#define machine_virtio		    fake_virtio
#define machine_get_protection	    fake_get_protection
#define machine_stats		    fake_stats
#define virtio_set_disk		    fake_disk
#define virtio_set_net		    fake_net
#define virtio_set_balloon	    fake_balloon
#define virtio_blk_set_path	    fake_blk_set_path
#define virtio_blk_set_limit	    fake_blk_set_limit
#define virtio_net_set_limits	    fake_net_set_limits
#define virtio_balloon_set_target   fake_balloon_set_target
#define virtio_balloon_set_interval fake_balloon_set_interval
#define virtio_balloon_get	    fake_balloon_get
#define doctor_collect		    fake_doctor_collect
#define doctor_print_json	    fake_doctor_print_json
#define api_check_files		    fake_check_files
#define server_new		    fake_server_new
#define server_free		    fake_server_free
#define server_reply		    fake_reply
#define server_fault		    fake_fault

#endif
