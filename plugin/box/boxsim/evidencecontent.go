package boxsim

// contentEvidence is about folders, files and the search.
func contentEvidence() []Entry {
	const (
		makeFolder, changeFolder, dropFolder = "POST /2.0/folders", "PUT /2.0/folders/{folder_id}", "DELETE /2.0/folders/{folder_id}"
		file, changeFile, dropFile           = "GET /2.0/files/{file_id}", "PUT /2.0/files/{file_id}", "DELETE /2.0/files/{file_id}"
		versions, search                     = "GET /2.0/files/{file_id}/versions", "GET /2.0/search"
	)
	return []Entry{
		{makeFolder, Spec, "name, parent and fields; a name is unique in its folder, whatever its case"},
		{makeFolder + ": names", Spec, "no slashes, no characters that can't be printed, no space at the end, not \".\" or \"..\""},
		{makeFolder + ": characters that only the list of errors refuses", Doc, "taken, as the specification doesn't refuse <, >, :, |, ?, * and -"},
		{makeFolder + ": length of names", Doc, "255 characters, then item_name_too_long"},
		{makeFolder + ": name in use", Field, "409 item_name_in_use; context_info.conflicts is a list for a folder and one object for a file"},
		{changeFolder, Spec, "name, description, parent, shared_link, tags, folder_upload_email; If-Match or 412"},
		{changeFolder + ": other fields", Inferred, "the settings are kept and shown without an effect, unknown fields left out"},
		{changeFolder + ": cycle", Doc, "400 cyclical_folder_structure"},
		{changeFolder + ": root", Undocumented, "403 is a choice"},
		{changeFolder + ": password of a shared link", Spec, "only with the access open; the description of the status 400 says the contrary"},
		{changeFolder + ": etag", Inferred, "counts the changes of the item itself, from \"0\""},
		{changeFolder + ": tags", Undocumented, "the field isn't there if there are none, as the specification wants at least one"},
		{dropFolder, Spec, "204; 400 folder_not_empty unless recursive; If-Match or 412"},
		{dropFolder + ": trash", Doc, "an item in the trash answers 404 trashed; the emulator forgets its content"},
		{file, Spec, "standard fields, or those that are named; 304 with If-None-Match"},
		{changeFile, Spec, "name, description, parent, shared_link, tags; If-Match or 412"},
		{dropFile, Spec, "204; If-Match or 412"},
		{versions, Spec, "past versions by offset"},
		{versions + ": order", Inferred, "the latest first, without the current one"},
		{search, Spec, "query, type, scope, content_types, file_extensions, ranges, owners, ancestors, trash, sort, fields, limit and offset"},
		{search + ": query", Spec, "words are alternatives; phrases in quotes; AND, OR and NOT in upper case"},
		{search + ": what is searched", Inferred, "parts of words in names, descriptions and tags; contents and comments aren't searched"},
		{search + ": neither query nor mdfilters", Spec, "400 missing_parameter"},
		{search + ": limit", Spec, "30, at most 200"},
		{search + ": mdfilters", Spec, "its shape is checked; it finds nothing, as the emulator has no metadata"},
		{search + ": include_recent_shared_links", Undocumented, "refused; not emulated"},
		{search + ": relevance", Undocumented, "names that begin with the query, then by name"},
		{search + ": narrowed token", Inferred, "finds what lies within its item"},
		{"API: rights of narrowed tokens", Doc, "item_delete, item_rename, item_share, item_download and base_upload by their descriptions"},
		{"API: rights of narrowed tokens for new folders", Undocumented, "item_upload is a choice; no scope's description mentions them"},
		{"API: etag in quotes", Inferred, "If-Match is taken with and without"},
	}
}

// transferEvidence is about uploads and downloads.
func transferEvidence() []Entry {
	const (
		upload, version   = "POST /api/2.0/files/content", "POST /api/2.0/files/{file_id}/content"
		download, address = "GET /2.0/files/{file_id}/content", "GET /d/1/{ticket}/download"
		check             = "OPTIONS /2.0/files/content"
	)
	return []Entry{
		{upload, Spec, "multipart/form-data, attributes before the file or 400 metadata_after_file_contents"},
		{upload + ": content-md5", Doc, "the SHA-1 of the file in spite of its name; 400 bad_digest"},
		{upload + ": name in use", Field, "409 item_name_in_use with one object in context_info.conflicts"},
		{upload + ": full account", Spec, "403 storage_limit_exceeded, as for an upload in parts"},
		{upload + ": file size", Doc, "403 file_size_limit_exceeded beyond max_upload_size of users/me"},
		{upload + ": token that ends meanwhile", Undocumented, "401 at the end is a choice"},
		{upload + ": order of checks", Inferred, "the attributes are checked before the content is read"},
		{upload + ": base", SDK, "https://upload.box.com/api/2.0"},
		{version, Spec, "as for a new file; an optional new name; If-Match or 412"},
		{download, Spec, "302 to an address that needs no token; version chooses an older one"},
		{download + ": not ready", Spec, "202 with Retry-After, by a fault only"},
		{address, Doc, "the form of the address; it works for 15 minutes"},
		{address + ": ranges", Spec, "one range of bytes, 206; out of the file 416"},
		{address + ": several ranges", Inferred, "the whole file, as RFC 9110 allows"},
		{address + ": address of no use", Undocumented, "404 with a page is a choice"},
		{check, Spec, "name, size and parent; 409 with a list of conflicts"},
		{check + ": upload_token", Spec, "optional, left out"},
	}
}

// sessionEvidence is about uploads in parts.
func sessionEvidence() []Entry {
	const (
		begin, beginVersion = "POST /api/2.0/files/upload_sessions", "POST /api/2.0/files/{file_id}/upload_sessions"
		session             = "GET /api/2.0/files/upload_sessions/{upload_session_id}"
		part                = "PUT /api/2.0/files/upload_sessions/{upload_session_id}"
		abort               = "DELETE /api/2.0/files/upload_sessions/{upload_session_id}"
		parts               = "GET /api/2.0/files/upload_sessions/{upload_session_id}/parts"
		commit              = "POST /api/2.0/files/upload_sessions/{upload_session_id}/commit"
	)
	return []Entry{
		{begin, Spec, "folder_id, file_size, file_name; 400 with the codes that are listed, 403, 404, 409"},
		{begin + ": session ID", Spec, "32 hexadecimal digits, as in the examples"},
		{begin + ": session_endpoints", Spec, "on the host of uploads; log_event is left out"},
		{begin + ": another user's session", Doc, "403 forbidden"},
		{beginVersion, Spec, "file_size and an optional new name"},
		{session, Spec, "num_parts_processed counts the parts that are ready"},
		{session + ": unknown session", Inferred, "404 not_found"},
		{session + ": malformed ID", Doc, "400 invalid_upload_session_id"},
		{session + ": expired", Doc, "410 session_expired"},
		{part, Spec, "Digest and Content-Range; parts of exactly the session's size, the last one smaller; 416 otherwise"},
		{part + ": wrong digest", Field, "400 digest_mismatch with both digests, seen for commits"},
		{part + ": the same part again", Doc, "409 range_overlaps_existing_part, even with the same content"},
		{part + ": code of the status 416", Undocumented, "range_not_satisfiable is a choice"},
		{part + ": no length", SDK, "taken, as an SDK sends parts without; 411 length_required is documented"},
		{part + ": length that isn't the range's", Undocumented, "400 is a choice"},
		{abort, Spec, "204"},
		{parts, Spec, "by offset"},
		{commit, Spec, "201 with the file in a list, 202 with Retry-After while parts aren't ready; If-Match or 412; 409 for a name in use"},
		{commit + ": attributes", Doc, "those of an upload may be passed along"},
		{commit + ": wrong digest", Field, "400 digest_mismatch with both digests"},
		{commit + ": missing or unknown parts", Undocumented, "400 is a choice"},
		{commit + ": repeated", Undocumented, "404, as the session is gone, is a choice"},
	}
}

func contentKnobEvidence() []Entry {
	return []Entry{
		{"knob quota", Undocumented, "8 GiB; Box's quotas are by account"},
		{"knob index_delay", Field, "users of Box are told to wait about ten minutes; Box says no figure"},
		{"knob chunked_minimum", Spec, "20 MB; whether decimal isn't said"},
		{"knob part_size", Inferred, "8 MiB stands in the documentation's example"},
		{"knob session_lifetime", Undocumented, "7 days; the answer says when"},
		{"knob processing_time", Spec, "202 is documented, how long it takes isn't"},
		{"knob accept_repeated_parts", Undocumented, "off, as the documentation knows only the overlap"},
	}
}
